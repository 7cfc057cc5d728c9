"""What the network calls, one import further away: the edited function of the cases."""


def scaled(pixels):
    return pixels / 16.0
