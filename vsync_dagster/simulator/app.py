"""The simulated DICT as an ASGI application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from lxml import etree
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from vsync_dagster.dict_api.messages import Problem
from vsync_dagster.dict_api.xml import MalformedMessageError, serialize
from vsync_dagster.simulator.call import REFUSALS, Call, Refusal, Service
from vsync_dagster.simulator.faults import Fault, FaultKind
from vsync_dagster.simulator.forgery import sign_answer
from vsync_dagster.simulator.gateway import Gateway
from vsync_dagster.simulator.handlers import FILES_PATH, HANDLERS, Answer, correlation_id
from vsync_dagster.simulator.operations import Operation
from vsync_dagster.simulator.settings import Settings, Signatures
from vsync_dagster.simulator.state import DictState
from vsync_dagster.simulator.wire import CutResponse, ResetResponse, TrickleResponse, peer_name

API_PATH = "/api/v2"
_XML, _PROBLEM = "application/xml", "application/problem+xml"
_GARBAGE = b"<!DOCTYPE html><html><body>502 upstream</body>"
_log = logging.getLogger(__name__)


def create_app(
    state: DictState, settings: Settings | None = None, signatures: Signatures | None = None, *, files_port: int
) -> ASGIApp:
    """Return the application: downloads of CID set files on `files_port`, the API under `/api/v2/` on any other."""
    service = Service(state, settings or Settings(), signatures or Signatures(), files_port)
    compressed = [Middleware(GZipMiddleware, compresslevel=1)]
    routes = [
        Route(API_PATH + path, _endpoint(service, operation, handler), methods=[method], middleware=compressed)
        for operation, (method, path, handler) in HANDLERS.items()
    ]
    encoding = compressed if service.settings.compressed_files else []
    download = Route(
        FILES_PATH + "{direct}/cidsetfile/{name}", _download(service), methods=["GET"], middleware=encoding
    )
    api, files = _application(service, routes), _application(service, [download])

    async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
        await (files if scope["server"][1] == files_port else api)(scope, receive, send)

    return Gateway(by_port) if service.settings.strict_headers else by_port


def _application(service: Service, routes: list[Route]) -> Starlette:
    async def no_such_path(request: Request, error: Exception) -> Response:
        del request
        status = error.status_code if isinstance(error, HTTPException) else 404
        return _problem(service, Refusal(status))

    app = Starlette(routes=routes, exception_handlers={HTTPException: no_such_path})
    # A path without its final slash is another path, as it is at DICT.
    app.router.redirect_slashes = False
    return app


def _endpoint(
    service: Service, operation: Operation, handler: Callable[[Call], Answer]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        call = Call(service, operation, request, await request.body(), peer_name(request.scope))
        if operation is Operation.GET_CID_SET_FILE:
            # It may make the file, which takes its time.
            response = await run_in_threadpool(_answer, call, handler)
        else:
            response = _answer(call, handler)
        return await _through_the_wire(response, call.fault)

    return endpoint


def _answer(call: Call, handler: Callable[[Call], Answer]) -> Response:
    service = call.service
    try:
        answer = _handle(call, handler)
    except Refusal as refusal:
        response = _problem(service, refusal, call.fault)
    except Exception as error:  # noqa: BLE001 - a DICT answers 500 to whatever goes wrong inside
        # The class alone: a text could quote the entry at hand.
        _log.error("%s failed: %s", call.operation.value, type(error).__name__)
        response = _problem(service, Refusal(500))
    else:
        response = _xml_response(service, answer.status, answer.document, _XML, call.fault)
    call.settle(response.status_code)
    return response


def _handle(call: Call, handler: Callable[[Call], Answer]) -> Answer:
    try:
        return handler(call)
    except MalformedMessageError:
        call.charge_unadmitted()
        raise Refusal(400) from None
    except Refusal:
        call.charge_unadmitted()
        raise


async def _through_the_wire(response: Response, fault: Fault | None) -> Response:
    """Let a scripted fault spoil an answer after the operation took place."""
    match None if fault is None else fault.kind:
        case FaultKind.HANG:
            await asyncio.sleep((fault and fault.seconds) or 0)
        case FaultKind.TRICKLE:
            trickle = TrickleResponse(response.body, response.status_code, media_type=response.media_type)
            trickle.pause = (fault and fault.seconds) or 0
            return trickle
        case FaultKind.RESET:
            return ResetResponse()
        case FaultKind.CUT:
            return CutResponse(response.body, response.status_code, media_type=response.media_type)
        case FaultKind.GARBAGE:
            return Response(_GARBAGE, response.status_code, media_type=response.media_type)
        case _:
            pass
    return response


def _download(service: Service) -> Callable[[Request], Awaitable[Response]]:
    """The download service: beside the API, it asks for the certificate of the path's ISPB, and charges nothing."""

    async def download(request: Request) -> Response:
        direct, name = request.path_params["direct"], request.path_params["name"]
        if peer_name(request.scope) not in (None, direct):
            return _problem(service, Refusal(403))
        found = service.state.files.content(name, service.settings.file_lifetime)
        path = found[1] if found and service.state.participants.direct(found[0]) == direct else None
        fault = service.state.faults.take(Operation.DOWNLOAD_CID_SET_FILE)
        response = _file_response(service, path, fault)
        service.state.calls.count(Operation.DOWNLOAD_CID_SET_FILE, "", response.status_code)
        return await _through_the_wire(response, fault)

    return download


class _CidFile(FileResponse):
    chunk_size = 1 << 20  # each costs a switch of threads


def _file_response(service: Service, path: Path | None, fault: Fault | None) -> Response:
    if fault is not None and fault.kind in REFUSALS:
        return _problem(service, Refusal(fault.status or 500, retry_after=fault.retry_after), fault)
    if path is None:
        return _problem(service, Refusal(404))
    if fault is None or fault.kind in (FaultKind.HANG, FaultKind.RESET, FaultKind.GARBAGE):
        return _CidFile(path, media_type="text/plain")
    content = path.read_bytes()
    if fault.kind is FaultKind.FILE_ALTERED:
        content = (b"0" if content[:1] != b"0" else b"1") + content[1:]
    elif fault.kind is FaultKind.FILE_TRUNCATED:
        content = content[: len(content) // 2]
    elif fault.kind is FaultKind.FILE_LONGER:
        content += b"0" * 64 + b"\n"
    return Response(content, media_type="text/plain")


def _problem(service: Service, refusal: Refusal, fault: Fault | None = None) -> Response:
    kind, status = refusal.kind, refusal.status
    if fault is not None and fault.kind is FaultKind.GATEWAY:
        return Response(_GARBAGE, status, media_type="text/html")
    if fault is not None and fault.kind is FaultKind.OTHER_STATUS:
        kind, status = ("Forbidden", 403) if status == 404 else ("NotFound", 404)
    document = Problem(kind, status, refusal.title, correlation_id()).to_xml()
    response = _xml_response(service, refusal.status, document, _PROBLEM, fault)
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response


def _xml_response(
    service: Service, status: int, document: etree._Element, media_type: str, fault: Fault | None
) -> Response:
    signed = sign_answer(document, service.signatures, None if fault is None else fault.kind)
    return Response(serialize(signed), status, media_type=media_type)
