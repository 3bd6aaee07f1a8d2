"""``python -m service`` is the command ``vecferry``."""

from service.cli.app import main

if __name__ == "__main__":
    main()
