"""SMTP on port 2525 and LMTP on 2424 of 127.0.0.1, with certificate and key of the directory given."""

import asyncio
import ssl
import sys

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult


class Shop:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        if any(a.startswith("full") for a in envelope.rcpt_tos):
            return "452 4.2.2 mailbox full"
        return "250 2.0.0 queued as 17"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=data.password == b"secret-anna", handled=False)


async def main():
    work = sys.argv[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{work}/cert.pem", f"{work}/key.pem")
    loop = asyncio.get_running_loop()

    def smtp():
        return SMTP(Shop(), hostname="mail.shop.example", tls_context=context, authenticator=authenticate,
                    auth_require_tls=False, data_size_limit=100_000)

    await loop.create_server(smtp, "127.0.0.1", 2525)
    await loop.create_server(lambda: LMTP(Shop(), hostname="lmtp.shop.example"), "127.0.0.1", 2424)
    await asyncio.Event().wait()


asyncio.run(main())
