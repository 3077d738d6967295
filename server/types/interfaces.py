"""What many types have in common."""

import strawberry


@strawberry.interface(description="Anything with an id of its own.")
class Node:
    """Anything with an id of its own."""

    id: strawberry.ID = strawberry.field(description="A UUID; never given to anything else.")


@strawberry.interface(
    description="A failure that can be expected. Ask every result for `... on Error { message }`."
)
class Error:
    """A failure that can be expected."""

    message: str = strawberry.field(description="What is wrong, as a sentence for people.")
