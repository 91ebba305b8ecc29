"""The dual-pathway network with concept-regularised coding (Lu, Zhuang & Luo, AAAI 2024)."""
