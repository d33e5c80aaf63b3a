//! Lists and maps that are being written.

use serde::ser::{self, Serialize, Serializer as _};

use super::{ARRAY, BIN, Error, MAP, SHORTEST_BYTES, Writer, Written, head};

/// A list that is being written. Serde does not say in advance whether the items are bytes, so the list is
/// written as bytes until an item is none.
pub(in super::super) struct List<'a> {
    writer: &'a mut Writer,
    begin: usize,
    length: Option<usize>,
    count: usize,
    /// So far all items are bytes, and are written as bytes.
    bytes: bool,
}

impl<'a> List<'a> {
    pub(super) fn begin(
        writer: &'a mut Writer,
        length: Option<usize>,
        bytes: bool,
    ) -> Result<Self, Error> {
        let mut list = Self { begin: writer.bytes.len(), length, count: 0, bytes, writer };
        if !bytes {
            list.put_length()?;
        }
        Ok(list)
    }

    fn put_length(&mut self) -> Written {
        self.length.map_or(Ok(()), |length| self.writer.put(head(&ARRAY, length)?.bytes()))
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Written {
        self.count += 1;
        if !self.bytes {
            return item.serialize(&mut *self.writer);
        }
        let from = self.writer.bytes.len();
        self.writer.expects_byte = true;
        item.serialize(&mut *self.writer)?;
        if let Some(byte) = self.writer.byte.take() {
            return self.writer.put(&[byte]);
        }
        let item = self.writer.bytes.split_off(from);
        self.unpack()?;
        self.writer.put(&item)
    }

    /// Writes the bytes so far again, as a list of numbers.
    fn unpack(&mut self) -> Written {
        self.bytes = false;
        let bytes = self.writer.bytes.split_off(self.begin);
        self.put_length()?;
        bytes.into_iter().try_for_each(|byte| self.writer.serialize_u8(byte))
    }

    fn finish(mut self) -> Written {
        if self.length.is_some_and(|length| length != self.count) {
            return Err(Error::message("a list of another length than it said"));
        }
        if self.bytes && self.count < SHORTEST_BYTES {
            self.unpack()?;
        }
        match (self.bytes, self.length) {
            (true, _) => self.writer.insert(self.begin, head(&BIN, self.count)?.bytes()),
            (false, None) => self.writer.insert(self.begin, head(&ARRAY, self.count)?.bytes()),
            (false, Some(_)) => Ok(()),
        }
    }
}

/// Leaves the level on drop: a type may give a list up after an error, and go on with something else.
impl Drop for List<'_> {
    fn drop(&mut self) {
        self.writer.leave();
    }
}

/// A map or a struct that is being written.
pub(in super::super) struct Fields<'a> {
    writer: &'a mut Writer,
    begin: usize,
    length: Option<usize>,
    count: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn begin(writer: &'a mut Writer, length: Option<usize>) -> Result<Self, Error> {
        let fields = Self { begin: writer.bytes.len(), length, count: 0, writer };
        if let Some(length) = length {
            fields.writer.put(head(&MAP, length)?.bytes())?;
        }
        Ok(fields)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Written {
        self.count += 1;
        self.writer.text(name)?;
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Written {
        match self.length {
            None => self.writer.insert(self.begin, head(&MAP, self.count)?.bytes()),
            Some(length) if length == self.count => Ok(()),
            Some(_) => Err(Error::message("a map of another length than it said")),
        }
    }
}

impl Drop for Fields<'_> {
    fn drop(&mut self) {
        self.writer.leave();
    }
}

macro_rules! lists {
    ($($of:ident::$method:ident;)*) => {$(
        impl ser::$of for List<'_> {
            type Ok = ();
            type Error = Error;
            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Written {
                self.item(item)
            }
            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

lists! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! structs {
    ($($of:ident),*) => {$(
        impl ser::$of for Fields<'_> {
            type Ok = ();
            type Error = Error;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Written {
                self.field(name, value)
            }
            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant }

impl ser::SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.count += 1;
        key.serialize(&mut *self.writer)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.finish()
    }
}
