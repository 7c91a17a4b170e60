"""Two peers of python-diameter on 127.0.0.1: a gateway that asks and a home that answers, by credit control
(Gy and Gx) and S6a. The home asks too."""

import datetime
import sys

from diameter.message import constants as c
from diameter.message.avp import Avp
from diameter.message.commands import *
from diameter.message.avp.grouped import *
from diameter.node import Node
from diameter.node.peer import PeerStats
from diameter.node.application import SimpleThreadingApplication

# It counts results, and fails on answers that have none but an experimental one.
count = PeerStats.add_sent_result_code
PeerStats.add_sent_result_code = lambda self, code: None if code is None else count(self, code)

port = int(sys.argv[1])
home = Node("home.shop.example", "shop.example", ip_addresses=["127.0.0.1"], tcp_port=port)
gate = Node("gate.shop.example", "shop.example", ip_addresses=["127.0.0.1"], tcp_port=port + 1)
for node in (home, gate):
    node.vendor_ids.add(c.VENDOR_TGPP)


def credit(app, m):
    unknown = m.subscription_id and m.subscription_id[0].subscription_id_data == "0"
    a = app.generate_answer(m, result_code=5030 if unknown else c.E_RESULT_CODE_DIAMETER_SUCCESS,
                            error_message="nobody has that number" if unknown else None)
    a.cc_request_type, a.cc_request_number = m.cc_request_type, m.cc_request_number
    if not unknown:
        a.multiple_services_credit_control = [MultipleServicesCreditControl(
            granted_service_unit=GrantedServiceUnit(cc_total_octets=1_000_000), rating_group=10, validity_time=600)]
    return a


def subscriber(app, m):
    a = app.generate_answer(m)
    a.auth_session_state = c.E_AUTH_SESSION_STATE_NO_STATE_MAINTAINED
    if isinstance(m, AuthenticationInformationRequest):
        a.result_code = 2001
        a.authentication_info = AuthenticationInfo(e_utran_vector=[EUtranVector(
            item_number=1, rand=b"r" * 16, xres=b"x" * 8, autn=b"a" * 16, kasme=b"k" * 32)])
    elif m.user_name == "262019999999999":
        a.experimental_result = ExperimentalResult(vendor_id=10415, experimental_result_code=5001)
    else:
        a.result_code = 2001
        a.subscription_data = SubscriptionData(msisdn=bytes.fromhex("9471103254f6"), subscriber_status=0)
    return a


def cancel(app, m):
    a = app.generate_answer(m, result_code=2001)
    a.auth_session_state = 1
    return a


home_gy = SimpleThreadingApplication(c.APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True, request_handler=credit)
home_s6a = SimpleThreadingApplication(c.APP_3GPP_S6A_S6D, is_auth_application=True, request_handler=subscriber)
gate_gy = SimpleThreadingApplication(c.APP_DIAMETER_CREDIT_CONTROL_APPLICATION, is_auth_application=True, request_handler=credit)
gate_s6a = SimpleThreadingApplication(c.APP_3GPP_S6A_S6D, is_auth_application=True, request_handler=cancel)
to_gate = home.add_peer("aaa://gate.shop.example", "shop.example", ip_addresses=["127.0.0.1"])
to_home = gate.add_peer(f"aaa://home.shop.example:{port}", "shop.example", ip_addresses=["127.0.0.1"], is_persistent=True)
home.add_application(home_gy, [to_gate])
home.add_application(home_s6a, [to_gate])
gate.add_application(gate_gy, [to_home])
gate.add_application(gate_s6a, [to_home])
home.start()
gate.start()
gate_gy.wait_for_ready()
gate_s6a.wait_for_ready()


def ask(app, m, **values):
    m.session_id = app.node.session_generator.next_id()
    m.origin_host, m.origin_realm = app.node.origin_host.encode(), b"shop.example"
    m.destination_realm = b"shop.example"
    for name, value in values.items():
        setattr(m, name, value)
    return app.send_request(m, timeout=5)


for number, (kind, who) in enumerate([(1, "491701234567"), (2, "491701234567"), (3, "491701234567"), (1, "0")]):
    ask(gate_gy, CreditControlRequest(), auth_application_id=4, cc_request_type=kind, cc_request_number=number,
        service_context_id="32251@3gpp.org", user_name="262011234567890",
        event_timestamp=datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc),
        subscription_id=[SubscriptionId(subscription_id_type=0, subscription_id_data=who),
                         SubscriptionId(subscription_id_type=1, subscription_id_data="262011234567890")],
        multiple_services_credit_control=[MultipleServicesCreditControl(
            requested_service_unit=RequestedServiceUnit(cc_total_octets=5_000), rating_group=10)])
for who in ("262011234567890", "262019999999999"):
    ask(gate_s6a, UpdateLocationRequest(), auth_session_state=1, user_name=who, rat_type=1004, ulr_flags=34,
        visited_plmn_id=bytes.fromhex("62f210"), vendor_specific_application_id=VendorSpecificApplicationId(
            vendor_id=10415, auth_application_id=c.APP_3GPP_S6A_S6D))
ask(gate_s6a, AuthenticationInformationRequest(), auth_session_state=1, user_name="262011234567890",
    visited_plmn_id=bytes.fromhex("62f210"))
ask(home_s6a, CancelLocationRequest(), auth_session_state=1, user_name="262011234567890", cancellation_type=0,
    destination_host=b"gate.shop.example")
gate.stop(wait_timeout=5)
home.stop(wait_timeout=5)
