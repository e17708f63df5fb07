"""Checks of what a mapping says about the wire: words that only together, or not together, keep what they promise."""

from adapters.mapping.written import HttpConnect, MappingForm
from schema.written import Document


def check_wire(document: Document, form: MappingForm) -> None:
    """A client that cannot keep a promise is refused here, never used in silence."""
    connect = form.connect
    if not isinstance(connect, HttpConnect):
        return
    if connect.client == "pyreqwest":
        if "cancellation" not in connect.waives:
            what = "pyreqwest 不能立即中断已发出的请求：用户离开后，连接要到 timeout 才断开"
            document.problem(("connect", "client"), what, "接受的话写 waives: cancellation，否则用 aiohttp")
        if connect.tls.ca:
            what = "pyreqwest 除 ca 之外还信任操作系统的全部根证书"
            document.problem(("connect", "tls", "ca"), what, "自建 CA 的来源请用 client: aiohttp")
    elif connect.waives:
        document.problem(("connect", "waives"), "aiohttp 不需要放弃任何保证", "去掉 waives")
    if connect.proxy and connect.addresses:
        what = "经代理时由代理解析主机名，网关无法核对地址"
        document.problem(("connect", "addresses"), what, "请在代理上限制，或不用代理")
    if connect.tls.key and not connect.tls.certificate:
        document.problem(("connect", "tls", "key"), "有 key 就必须有 certificate")
