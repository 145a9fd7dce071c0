"""`python -m playsafe.cli`, which `accelerate launch` needs."""

from playsafe.cli import main

if __name__ == "__main__":
    main()
