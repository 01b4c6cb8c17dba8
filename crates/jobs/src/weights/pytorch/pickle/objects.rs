//! Classes, objects and calls in a pickle: tensors are understood, the rest is kept as it is.

use std::{io::BufRead, rc::Rc};

use anyhow::{Context, Result, bail, ensure};

use super::{
    super::object::{Element, Id, Object, PickleNode, Storage, View},
    Machine,
    scalars::line,
};

impl Machine {
    pub(super) fn global(&mut self, code: u8, input: &mut impl BufRead) -> Result<()> {
        let name = if code == b'c' {
            let module = line(input)?;
            format!("{module}.{}", line(input)?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.nodes[module], &self.nodes[name]) {
                (PickleNode::Text(module), PickleNode::Text(name)) => format!("{module}.{name}"),
                _ => bail!("the pickle names a class by something that is not text"),
            }
        };
        self.push(PickleNode::Class(name.into()))
    }

    pub(super) fn object(&mut self, code: u8) -> Result<()> {
        match code {
            b'Q' => {
                let id = self.pop()?;
                self.persistent(id)
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.pop()?);
                if let PickleNode::Object(object) = &mut self.nodes[object] {
                    object.state = Some(state);
                }
                self.stack.push(object);
                Ok(())
            }
            0x92 => {
                let (keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                let parts = vec![arguments, keywords];
                self.opaque(class, parts)
            }
            0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.opaque(class, vec![arguments])
            }
            _ => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(function, arguments, 0)
            }
        }
    }

    /// An object whose class means nothing here.
    fn opaque(&mut self, class: Id, parts: Vec<Id>) -> Result<()> {
        let class = self.class_name(class);
        self.push(PickleNode::Object(Box::new(Object {
            class,
            parts,
            state: None,
            items: Vec::new(),
        })))
    }

    fn class_name(&self, class: Id) -> Rc<str> {
        match &self.nodes[class] {
            PickleNode::Class(name) => name.clone(),
            PickleNode::Object(object) => object.class.clone(),
            _ => "an object".into(),
        }
    }

    /// The result of a call: tensors and dictionaries are known, everything else is an object.
    fn call(&mut self, function: Id, arguments: Id, depth: usize) -> Result<()> {
        let name = match &self.nodes[function] {
            PickleNode::Class(name) => name.clone(),
            _ => Rc::default(),
        };
        let fields = match &self.nodes[arguments] {
            PickleNode::Tuple(fields) => fields.clone(),
            _ => bail!("the pickle calls `{name}` without arguments"),
        };
        match (&*name, &fields[..]) {
            ("collections.OrderedDict", []) => self.push(PickleNode::Dict(Vec::new())),
            ("collections.OrderedDict", [items]) => {
                let pairs = self.pairs_of(*items)?;
                self.push(PickleNode::Dict(pairs))
            }
            ("builtins.set" | "__builtin__.set" | "builtins.frozenset", [items]) => {
                self.stack.push(*items);
                Ok(())
            }
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                [data, ..],
            ) => {
                self.stack.push(*data);
                Ok(())
            }
            ("torch._tensor._rebuild_from_type_v2", [function, _, arguments, ..]) if depth < 8 => {
                self.call(*function, *arguments, depth + 1)
            }
            ("copyreg._reconstructor" | "copy_reg._reconstructor", [class, rest @ ..]) => {
                self.opaque(*class, rest.to_vec())
            }
            (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                [storage, offset, shape, strides, ..],
            ) => self.tensor([*storage, *offset, *shape, *strides], None),
            (
                "torch._utils._rebuild_tensor_v3",
                [storage, offset, shape, strides, _, _, element, ..],
            ) => self.tensor([*storage, *offset, *shape, *strides], Some(*element)),
            _ => self.opaque(function, vec![arguments]),
        }
    }

    fn pairs_of(&self, list: Id) -> Result<Vec<(Id, Id)>> {
        let (PickleNode::List(items) | PickleNode::Tuple(items)) = &self.nodes[list] else {
            bail!("the pickle makes a dictionary of something that is not a list");
        };
        let pair = |&item: &Id| match &self.nodes[item] {
            PickleNode::List(pair) | PickleNode::Tuple(pair) if pair.len() == 2 => {
                Ok((pair[0], pair[1]))
            }
            _ => bail!("the pickle makes a dictionary of things that are not pairs"),
        };
        items.iter().map(pair).collect()
    }

    /// `('storage', type, key, device, numbers[, view])`, or `('module', class, file, source)` of
    /// whole modules before PyTorch 1.6.
    fn persistent(&mut self, id: Id) -> Result<()> {
        let PickleNode::Tuple(fields) = &self.nodes[id] else {
            bail!("the pickle refers to something outside by something that is not a tuple");
        };
        let kind = fields.first().map(|&kind| &self.nodes[kind]);
        match (kind, &fields[..]) {
            (Some(PickleNode::Text(kind)), &[_, class, ..]) if **kind == *"module" => {
                self.stack.push(class);
                Ok(())
            }
            (Some(PickleNode::Text(kind)), &[_, class, key, _, numbers, ref view @ ..])
                if **kind == *"storage" =>
            {
                let storage = Storage {
                    element: self.element(class)?,
                    key: self.key(key)?,
                    numbers: self.size(numbers)?,
                    begin: self.view(view.first().copied())?,
                };
                self.push(PickleNode::Storage(storage))
            }
            _ => bail!("the pickle refers to something that is neither a storage nor a module"),
        }
    }

    /// Where a storage begins in the one that it is a view of, as files before PyTorch 0.4 have it.
    fn view(&self, view: Option<Id>) -> Result<usize> {
        match view.map(|view| &self.nodes[view]) {
            Some(PickleNode::Tuple(view)) if view.len() == 3 => self.size(view[1]),
            _ => Ok(0),
        }
    }

    fn element(&self, class: Id) -> Result<Element> {
        match &self.nodes[class] {
            PickleNode::Class(name) | PickleNode::Text(name) => Ok(Element::of_class(name)),
            _ => bail!("the pickle has a storage of no type"),
        }
    }

    fn key(&self, id: Id) -> Result<Rc<str>> {
        self.nodes[id].key().context("a storage has no name")
    }

    fn size(&self, id: Id) -> Result<usize> {
        match self.nodes[id] {
            PickleNode::Int(size) => Ok(usize::try_from(size).context("a size is negative")?),
            _ => bail!("a size is no whole number"),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>> {
        match &self.nodes[id] {
            PickleNode::Tuple(sizes) | PickleNode::List(sizes) => {
                ensure!(sizes.len() <= 64, "a tensor has {} axes", sizes.len());
                sizes.iter().map(|&size| self.size(size)).collect()
            }
            _ => bail!("a shape is no list"),
        }
    }

    fn tensor(
        &mut self,
        [storage, offset, shape, strides]: [Id; 4],
        element: Option<Id>,
    ) -> Result<()> {
        let PickleNode::Storage(storage) = &self.nodes[storage] else {
            bail!("the pickle has a tensor without a storage");
        };
        let element = match element {
            Some(element) => self.element(element)?,
            None => storage.element.clone(),
        };
        let view = View::new(
            storage.clone(),
            element,
            self.size(offset)?,
            self.sizes(shape)?,
            self.sizes(strides)?,
        )?;
        self.push(PickleNode::Tensor(Box::new(view)))
    }
}
