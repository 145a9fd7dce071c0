"""`python -m playsafe`."""

from playsafe.cli import main

if __name__ == "__main__":
    main()
