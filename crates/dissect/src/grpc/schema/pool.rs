//! What descriptors say, ready to be looked up: messages, enums and the methods of services.
//!
//! Types refer to each other by the number of their name, whether they are there yet or not:
//! files may come in any order, and in part.

use hashbrown::HashMap;

use super::known::Known;

/// A type by its name's number.
pub(in crate::grpc) type TypeId = u32;

/// How a value is on the wire and what it means (`FieldDescriptorProto.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::grpc) enum Kind {
    Double,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group,
    Message,
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

impl Kind {
    /// By its number in descriptor.proto.
    pub(super) fn of(number: u64) -> Option<Self> {
        const ALL: [Kind; 18] = [
            Kind::Double,
            Kind::Float,
            Kind::Int64,
            Kind::Uint64,
            Kind::Int32,
            Kind::Fixed64,
            Kind::Fixed32,
            Kind::Bool,
            Kind::String,
            Kind::Group,
            Kind::Message,
            Kind::Bytes,
            Kind::Uint32,
            Kind::Enum,
            Kind::Sfixed32,
            Kind::Sfixed64,
            Kind::Sint32,
            Kind::Sint64,
        ];
        ALL.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }
}

/// A field of a message.
#[derive(Debug)]
pub(in crate::grpc) struct Field {
    pub(in crate::grpc) number: u32,
    pub(in crate::grpc) kind: Kind,
    pub(in crate::grpc) repeated: bool,
    /// The type of a message, group or enum.
    pub(in crate::grpc) of: TypeId,
    /// Its name in JSON.
    pub(in crate::grpc) name: Box<str>,
}

/// A message.
#[derive(Debug)]
pub(in crate::grpc) struct Message {
    /// By number.
    pub(super) fields: Box<[Field]>,
    /// It is the entry of a map: the key is field 1, the value field 2.
    pub(in crate::grpc) is_entry: bool,
}

impl Message {
    pub(in crate::grpc) fn field(&self, number: u32) -> Option<&Field> {
        // Nearly always the numbers have no holes.
        let guess = self.fields.get((number as usize).wrapping_sub(1)).filter(|f| f.number == number);
        guess.or_else(|| {
            let i = self.fields.binary_search_by_key(&number, |f| f.number).ok()?;
            self.fields.get(i)
        })
    }
}

/// What a name stands for.
#[derive(Debug, Default)]
pub(super) enum Type {
    /// Something refers to it, but it was not described.
    #[default]
    Missing,
    Message(Message),
    /// Values with their names, by value.
    Enum(Box<[(i32, Box<str>)]>),
}

/// A method of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::grpc) struct Signature {
    /// The types of request and response.
    pub(in crate::grpc) types: [TypeId; 2],
    /// Whether they are streams.
    pub(in crate::grpc) streams: [bool; 2],
}

/// The methods of a service by name.
pub(super) type Methods = Box<[(Box<str>, Signature)]>;

/// More was described than may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

#[derive(Debug)]
struct Slot {
    name: Box<str>,
    is: Type,
    known: Option<Known>,
    /// What `is` costs.
    cost: usize,
}

/// Everything that some descriptors say.
#[derive(Debug)]
pub(in crate::grpc) struct Pool {
    names: HashMap<Box<str>, TypeId>,
    slots: Vec<Slot>,
    services: HashMap<Box<[u8]>, Methods>,
    /// Fields of messages that are declared elsewhere (proto2).
    extensions: HashMap<(TypeId, u32), Field>,
    /// Bytes of memory held, about.
    cost: usize,
    /// Bytes of memory that it may hold.
    most: usize,
}

/// What an entry of a hash table costs beside its own size.
const ENTRY: usize = 32;

impl Pool {
    pub(super) fn new(most: usize) -> Self {
        Self {
            names: HashMap::new(),
            slots: Vec::new(),
            services: HashMap::new(),
            extensions: HashMap::new(),
            cost: 0,
            most,
        }
    }

    /// Bytes of memory held, about.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Counts memory that is about to be used.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), TooLarge> {
        let cost = self.cost.saturating_add(bytes);
        if cost > self.most {
            return Err(TooLarge);
        }
        self.cost = cost;
        Ok(())
    }

    /// Uncounts memory that is not used any more.
    fn refund(&mut self, bytes: usize) {
        self.cost = self.cost.saturating_sub(bytes);
    }

    /// The number of a full name, with or without the dot that descriptors put before it.
    pub(super) fn id(&mut self, name: &str) -> Result<TypeId, TooLarge> {
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        let id = TypeId::try_from(self.slots.len()).map_err(|_| TooLarge)?;
        self.charge(2 * name.len() + size_of::<Slot>() + ENTRY)?;
        self.names.insert(name.into(), id);
        self.slots.push(Slot { name: name.into(), is: Type::Missing, known: Known::of(name), cost: 0 });
        Ok(id)
    }

    /// Says what a name stands for; the newest word counts. `cost` has been charged for it.
    pub(super) fn define(&mut self, id: TypeId, is: Type, cost: usize) {
        let Some(slot) = self.slots.get_mut(id as usize) else { return };
        let before = std::mem::replace(&mut slot.cost, cost);
        slot.is = is;
        self.refund(before);
    }

    /// Adds a field to a message that is described elsewhere.
    pub(super) fn extend(&mut self, id: TypeId, field: Field) -> Result<(), TooLarge> {
        self.charge(ENTRY)?;
        self.extensions.insert((id, field.number), field);
        Ok(())
    }

    /// Describes a service by its full name.
    pub(super) fn serve(&mut self, name: &str, methods: Methods) -> Result<(), TooLarge> {
        self.charge(name.len() + ENTRY)?;
        self.services.insert(name.as_bytes().into(), methods);
        Ok(())
    }

    /// True when it describes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && self.slots.iter().all(|s| matches!(s.is, Type::Missing))
    }

    /// A method by the full name of its service and its own.
    pub(super) fn method(&self, service: &[u8], method: &[u8]) -> Option<Signature> {
        let methods = self.services.get(service)?;
        methods.iter().find(|(name, _)| name.as_bytes() == method).map(|(_, s)| *s)
    }

    /// A message by its full name.
    pub(in crate::grpc) fn find(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// A message, when it was described.
    pub(in crate::grpc) fn message(&self, id: TypeId) -> Option<&Message> {
        match &self.slots.get(id as usize)?.is {
            Type::Message(message) => Some(message),
            _ => None,
        }
    }

    /// A type that JSON shows in a way of its own.
    pub(in crate::grpc) fn known(&self, id: TypeId) -> Option<Known> {
        self.slots.get(id as usize)?.known
    }

    /// A field of a message.
    pub(in crate::grpc) fn field<'a>(
        &'a self,
        id: TypeId,
        message: &'a Message,
        number: u32,
    ) -> Option<&'a Field> {
        message
            .field(number)
            .or_else(|| if self.extensions.is_empty() { None } else { self.extensions.get(&(id, number)) })
    }

    /// A value of an enum by name.
    pub(in crate::grpc) fn value(&self, id: TypeId, value: i32) -> Option<&str> {
        let Type::Enum(values) = &self.slots.get(id as usize)?.is else { return None };
        let i = values.binary_search_by_key(&value, |(v, _)| *v).ok()?;
        values.get(i).map(|(_, name)| &**name)
    }

    /// Names that something refers to and that are neither described nor known.
    pub(super) fn missing(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().filter(|s| matches!(s.is, Type::Missing) && s.known.is_none()).map(|s| &*s.name)
    }
}
