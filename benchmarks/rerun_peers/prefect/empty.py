"""The floor under any flow of four tasks: what Prefect itself takes to run and record them."""

from prefect import flow, task


@task
def step(number):
    return number


@flow
def empty():
    for number in range(4):
        step(number)


if __name__ == "__main__":
    empty()
