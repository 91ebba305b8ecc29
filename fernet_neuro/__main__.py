"""Run the command line with ``python -m fernet_neuro``."""

from fernet_neuro.cli.app import main

if __name__ == "__main__":
    main()
