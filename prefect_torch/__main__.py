"""`python -m prefect_torch` is the `prefect-torch` command."""

from prefect_torch.cli import main

if __name__ == "__main__":
    main()
