"""An ASGI application that echoes, for record.sh: served by hypercorn over HTTP/2."""


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif event["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event.get("text")})
        elif event["type"] == "websocket.disconnect":
            return
