"""From the scanner's files to labelled patterns: the one door to nilearn and nibabel."""
