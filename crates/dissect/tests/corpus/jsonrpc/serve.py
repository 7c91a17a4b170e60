"""An MCP server (`serve.py mcp PORT`), and one of JSON-RPC and of server-sent events, for record.sh."""
import asyncio
import json
import sys


def mcp(port):
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("shop", host="127.0.0.1", port=port, log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    @server.tool()
    def fail() -> str:
        """Fails."""
        raise ValueError("out of stock")

    @server.resource("shop://stock")
    def stock() -> str:
        """What there is."""
        return "3 items"

    server.run(transport="streamable-http")


def plain(port):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    def answer(call):
        if call.get("method") == "sum":
            return {"jsonrpc": "2.0", "id": call["id"], "result": sum(call["params"])}
        return {"jsonrpc": "2.0", "id": call.get("id"), "error": {"code": -32601, "message": "Method not found"}}

    async def rpc(request):
        try:
            call = await request.json()
        except json.JSONDecodeError:
            error = {"code": -32700, "message": "Parse error"}
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error})
        if isinstance(call, list):
            return JSONResponse([answer(c) for c in call if "id" in c])
        return JSONResponse(answer(call)) if "id" in call else Response(status_code=204)

    async def events(request):
        async def stream():
            yield ": hello\n\n"
            for i in range(5):
                yield f"id: {i}\nevent: {'tick' if i % 2 else 'tock'}\ndata: {{\"n\": {i}}}\n\n"
                await asyncio.sleep(0.01)
            yield "data: last\ndata: line\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    routes = [Route("/rpc", rpc, methods=["POST"]), Route("/events", events)]
    uvicorn.run(Starlette(routes=routes), port=port, access_log=False)


{"mcp": mcp, "plain": plain}[sys.argv[1]](int(sys.argv[2]))
