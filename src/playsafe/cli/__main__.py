"""`python -m playsafe.cli`, which `accelerate launch` needs."""

from playsafe.cli import process

if __name__ == "__main__":
    process()
