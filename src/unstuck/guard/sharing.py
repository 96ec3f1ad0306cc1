"""How much of what all models share one of them may take."""

from collections.abc import Sequence


def room(most: int, others: Sequence[int], models: int = 1) -> int:
    """How much a model may have in flight.

    All of it where there is no other model. Else half of ``most`` is common, and the other half is divided evenly among
    the models: nobody who comes is without a place because of one that takes all it can get.

    Args:
        most: of all models together.
        others: what each other model has in flight.
        models: how many are served.
    """
    busy = [each for each in others if each]
    models = max(models, len(busy) + 1)
    if models == 1:
        return most
    share = max(most // 2 // models, 1)
    common = most // 2 - sum(max(each - share, 0) for each in busy)
    return share + max(common, 0)
