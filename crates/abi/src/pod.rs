//! Leave for aya to copy these types out of maps as bytes.
#![expect(unsafe_code, reason = "aya::Pod is an unsafe marker trait")]

use crate::{
    Counter, FlowKey, FlowValue, PacketHeader, Process, RingState, Settings, Shunt, SocketOwner, TlsConn,
    TlsConnKey,
};

macro_rules! pod {
    ($($t:ty),+ $(,)?) => {$(
        // SAFETY: `repr(C)`, made of integers only, without implicit padding (sizes are asserted),
        // so every bit pattern is a value and every byte is initialised.
        unsafe impl aya::Pod for $t {}
    )+};
}

pod!(
    Counter,
    FlowKey,
    FlowValue,
    PacketHeader,
    Process,
    RingState,
    Settings,
    Shunt,
    SocketOwner,
    TlsConn,
    TlsConnKey
);
