"""A file server that answers ranges after a delay, as a distant store does. `python fileserver.py FOLDER SECONDS`."""

import asyncio
import sys
from pathlib import Path

from aiohttp import web


def app(folder: Path, delay: float) -> web.Application:
    """An application that serves the files of `folder`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(delay)
        path = folder / request.match_info["name"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    application = web.Application()
    application.router.add_get("/{name}", answer)
    return application


async def main() -> None:
    """Serve until killed; the first line of output is the port."""
    runner = web.AppRunner(app(Path(sys.argv[1]), float(sys.argv[2])), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
