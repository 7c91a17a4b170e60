"""A GraphQL server for record.sh: `uvicorn shop:app` and `hypercorn shop:app`."""
import asyncio
import typing

import strawberry
from strawberry.asgi import GraphQL
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL


@strawberry.type
class Item:
    id: int
    name: str


@strawberry.type
class Query:
    @strawberry.field
    def item(self, id: int) -> typing.Optional[Item]:
        if id < 0:
            raise ValueError(f"no item {id}")
        return Item(id=id, name=f"item {id}")

    @strawberry.field
    def count(self) -> int:
        return 3


@strawberry.type
class Mutation:
    @strawberry.mutation
    def add(self, name: str) -> Item:
        return Item(id=9, name=name)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self, until: int) -> typing.AsyncGenerator[int, None]:
        for i in range(until):
            yield i
            await asyncio.sleep(0.01)
            if i == 3:
                raise ValueError("three is too many")


schema = strawberry.Schema(
    query=Query, mutation=Mutation, subscription=Subscription,
    config=StrawberryConfig(batching_config={"max_operations": 5}),
)
app = GraphQL(
    schema, multipart_uploads_enabled=True,
    subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL],
)
