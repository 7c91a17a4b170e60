"""What swaks does not say: several mails, commands that fail, a mail beyond the payload limit, commands
sent without waiting, LMTP; with an argument STARTTLS alone."""

import smtplib
import socket
import ssl
import sys

mail = "From: Anna <anna@shop.example>\nTo: Bert\n <bert@shop.example>\nSubject: {}\nMessage-ID: <{}@shop.example>\n\n{}\n"
s = smtplib.SMTP("127.0.0.1", 2525, local_hostname="python.example")
if sys.argv[1:]:
    s.starttls(context=ssl._create_unverified_context())
    s.sendmail("anna@shop.example", ["bert@shop.example"], mail.format("hidden", 5, "one line"))
    s.quit()
    sys.exit()
s.ehlo()
s.docmd("VRFY", "bert@shop.example")
s.docmd("NOOP")
s.docmd("HELP")
s.docmd("BOGUS", "whatever")
s.docmd("DATA")
s.sendmail("anna@shop.example", ["bert@shop.example"], mail.format("short", 1, "one line"))
try:
    s.sendmail("anna@shop.example", ["nobody@shop.example"], mail.format("refused", 2, "nobody reads it"))
except smtplib.SMTPRecipientsRefused:
    pass
s.sendmail("anna@shop.example", ["bert@shop.example", "cora@shop.example"], mail.format("long", 3, "many lines\n" * 7000))
s.docmd("MAIL", "FROM:<x@shop.example> SIZE=1000000")
s.rset()
s.quit()
s = smtplib.LMTP("127.0.0.1", 2424, local_hostname="python.example")
s.ehlo()
s.sendmail("anna@shop.example", ["bert@shop.example", "cora@shop.example"], mail.format("local", 4, "one line"))
s.quit()
t = socket.create_connection(("127.0.0.1", 2525))
replies = t.makefile("rb")
replies.readline()
t.sendall(b"EHLO raw.example\r\n")
while replies.readline()[3:4] == b"-":
    pass
t.sendall(b"MAIL FROM:<anna@shop.example>\r\nRCPT TO:<nobody@shop.example>\r\nRCPT TO:<bert@shop.example>\r\nDATA\r\n")
for _ in range(4):
    replies.readline()
t.sendall(b"Subject: at once\r\n\r\n..\r\n.\r\nQUIT\r\n")
replies.read()
