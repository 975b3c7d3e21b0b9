"""Imagery of one's own: files into the bucket, and items that lead to them into the catalog."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from croma.simulate.server import COLLECTIONS, ITEMS, absolute
from infra.local.stack import stac
from infra.local.stack.process import StackError
from infra.local.stack.site import IMAGERY, StackSite


def load(site: StackSite, folder: Path) -> dict[str, int]:
    """Upload every file of a world below the bucket's folder of that name, and put its items into the catalog.

    Returns:
        How many files, collections and items there are now.

    Raises:
        StackError: the folder has no items.json.
    """
    if not (folder / ITEMS).is_file():
        raise StackError(f"{folder}: there is no {ITEMS}")
    catalog = absolute(json.loads((folder / ITEMS).read_text()), f"s3://{IMAGERY}/{folder.name}")
    collections = [json.loads(path.read_text()) for path in sorted((folder / COLLECTIONS).glob("*.json"))]
    listing = {folder / ITEMS, *(folder / COLLECTIONS).glob("*")}
    files = [path for path in folder.rglob("*") if path.is_file() and path not in listing]
    client = boto3.client("s3", **site.s3_arguments())

    def upload(path: Path) -> None:
        client.upload_file(str(path), IMAGERY, f"{folder.name}/{path.relative_to(folder)}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, files))
    stac.load(site, collections, catalog["features"])
    return {"files": len(files), "collections": len(collections), "items": len(catalog["features"])}
