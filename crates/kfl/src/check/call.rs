//! Functions, methods and macros.

use regex::RegexBuilder;
use remora_model::Timestamp;

use super::{Bound, Checker, and, legacy, or, with_article};
use crate::functions::FUNCTIONS;
use crate::print::brief_text;
use crate::syntax::{Kind, Node};
use crate::{Diagnostic, Expr, Literal, Network, Pattern, Quantifier, Span, TextOp, Type};
use crate::{duration, limits, suggest};

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        receiver: Option<&Node>,
        name: &str,
        name_span: Span,
        args: &[Node],
        span: Span,
    ) -> Option<Expr> {
        let quantifier = match name {
            "exists" => Some(Quantifier::Exists),
            "all" => Some(Quantifier::All),
            "exists_one" | "existsOne" => Some(Quantifier::ExistsOne),
            _ => None,
        };
        if let Some(quantifier) = quantifier {
            return self.quantified(quantifier, receiver, args, span);
        }
        if let Some(Node { kind: Kind::Call { receiver: None, name: of, args: networks, .. }, .. }) = receiver
            && of == "cidr"
        {
            return self.cidr_contains(networks, name, name_span, args, span);
        }
        // A method's receiver is its first argument: both ways of writing are accepted.
        let all: Vec<&Node> = receiver.into_iter().chain(args).collect();
        match name {
            "has" => {
                let [field] = self.arity(&all, span, "has(status_code)")?;
                self.presence(field)
            }
            "now" => {
                let [] = self.arity(&all, span, "now()")?;
                Some(Expr::Literal(Literal::Time(self.now)))
            }
            "timestamp" | "datetime" => {
                let [of] = self.arity(&all, span, "timestamp(\"2026-11-21T04:40:49Z\")")?;
                self.timestamp(of)
            }
            "duration" => {
                let [of] = self.arity(&all, span, "duration(\"5m\")")?;
                let text = self.constant_text(of, "a duration")?;
                match duration::parse(&text) {
                    Some(nanos) => Some(Expr::Literal(Literal::Duration(nanos))),
                    None => {
                        let found =
                            Diagnostic::error(of.span, format!("{} is not a duration", brief_text(&text)));
                        self.report(found.help("write \"90s\", \"5m\", \"1h30m\", \"250ms\", \"2d\""))
                    }
                }
            }
            "int" => {
                let [of] = self.arity(&all, span, "int(request.headers[\"content-length\"])")?;
                let expr = self.any(of)?;
                match expr.ty() {
                    Type::Int => Some(expr),
                    Type::Text => Some(Expr::ParseInt(Box::new(expr))),
                    ty => {
                        self.error(of.span, format!("int() takes a string, and this is {}", with_article(ty)))
                    }
                }
            }
            "string" => {
                let [of] = self.arity(&all, span, "string(status_code)")?;
                let expr = self.any(of)?;
                match expr.ty() {
                    Type::Text => Some(expr),
                    Type::Int => Some(Expr::IntToText(Box::new(expr))),
                    ty => self
                        .error(of.span, format!("string() takes an int, and this is {}", with_article(ty))),
                }
            }
            "size" => {
                let [of] = self.arity(&all, span, "size(dns_answers)")?;
                let expr = self.any(of)?;
                match expr.ty() {
                    Type::Text | Type::List | Type::Map => Some(Expr::Size(Box::new(expr))),
                    ty => {
                        let message = format!(
                            "size() counts in a string, list or map, and this is {}",
                            with_article(ty)
                        );
                        self.error(of.span, message)
                    }
                }
            }
            "lowerAscii" | "upperAscii" => {
                let [of] = self.arity(&all, span, &format!("host.{name}()"))?;
                let expr = Box::new(self.text(of, &format!("what {name} changes"))?);
                Some(if name == "lowerAscii" { Expr::LowerAscii(expr) } else { Expr::UpperAscii(expr) })
            }
            "contains" => self.text_test(TextOp::Contains, &all, span),
            "startsWith" => self.text_test(TextOp::StartsWith, &all, span),
            "endsWith" => self.text_test(TextOp::EndsWith, &all, span),
            "matches" => {
                let [subject, pattern] = self.arity(&all, span, "path.matches(\"^/api/\")")?;
                let (s, p) = (self.text(subject, "what is matched"), self.pattern(pattern));
                Some(Expr::Matches { subject: Box::new(s?), pattern: p? })
            }
            "map_get" => self.map_get(&all, span),
            "ip_in" => {
                let [ip, networks] = self.arity(&all, span, "ip_in(src.ip, \"10.0.0.0/8\")")?;
                let ip = self.text(ip, "the address");
                self.ip_in(ip?, networks)
            }
            "cidr" => {
                let found = Diagnostic::error(span, "cidr() alone is not a condition");
                self.report(
                    found.help("cidr(\"10.0.0.0/8\").containsIP(src.ip), or ip_in(src.ip, \"10.0.0.0/8\")"),
                )
            }
            _ => match legacy::span(name) {
                Some(nanos) => {
                    let [of] = self.arity(&all, span, &format!("{name}(5)"))?;
                    self.span_of(name, of, nanos)
                }
                None => self.unknown_function(name, name_span),
            },
        }
    }

    /// A span of time as KFL1 writes it: `minutes(5)`.
    fn span_of(&mut self, name: &str, of: &Node, nanos: i64) -> Option<Expr> {
        let Kind::Int(n) = of.kind else {
            let found = Diagnostic::error(of.span, format!("{name}() takes a whole number"));
            return self.report(found.help(format!("for example {name}(5)")));
        };
        match n.checked_mul(nanos) {
            Some(nanos) => Some(Expr::Literal(Literal::Duration(nanos))),
            None => self.error(of.span, "the span of time is out of range"),
        }
    }

    fn unknown_function(&mut self, name: &str, span: Span) -> Option<Expr> {
        if remora_model::field::by_name(name).is_some() {
            let found = Diagnostic::error(span, format!("`{name}` is a field, not a function"));
            return self.report(found.help("write it without parentheses"));
        }
        let found = Diagnostic::error(span, format!("there is no function `{}`", crate::print::brief(name)));
        self.report(match suggest::function(name) {
            Some(help) => found.help(help),
            None => {
                let names: Vec<&str> = FUNCTIONS.iter().map(|f| f.name).collect();
                found.help(format!("there are {}", names.join(", ")))
            }
        })
    }

    /// Exactly `N` arguments.
    fn arity<'n, const N: usize>(
        &mut self,
        args: &[&'n Node],
        span: Span,
        usage: &str,
    ) -> Option<[&'n Node; N]> {
        match <[&Node; N]>::try_from(args) {
            Ok(args) => Some(args),
            Err(_) => {
                let message = "the number of arguments is wrong";
                self.report(Diagnostic::error(span, message).help(format!("for example {usage}")))
            }
        }
    }

    /// Whether the row has a field, or a map a key: never unknown.
    pub(super) fn presence(&mut self, node: &Node) -> Option<Expr> {
        match self.any(node)? {
            Expr::Field(id) => Some(Expr::Has(id)),
            // Alone, `HasKey` is unknown where the map is absent.
            Expr::MapValue { map, key } => Some(and(vec![Expr::Has(map), Expr::HasKey { map, key }])),
            _ => {
                let message = format!("{} is not a field, so it cannot be absent", self.quote(node.span));
                self.report(Diagnostic::error(node.span, message).help("for example has(status_code)"))
            }
        }
    }

    fn timestamp(&mut self, node: &Node) -> Option<Expr> {
        if let Kind::Int(seconds) = node.kind {
            // As in CEL: seconds since the epoch.
            return match seconds.checked_mul(1_000_000_000) {
                Some(nanos) => Some(Expr::Literal(Literal::Time(Timestamp(nanos)))),
                None => {
                    let found = Diagnostic::error(node.span, "the instant is out of range");
                    self.report(found.help("a number here is seconds since 1970"))
                }
            };
        }
        let text = self.constant_text(node, "an instant")?;
        match Timestamp::parse_rfc3339(&text) {
            Some(t) => Some(Expr::Literal(Literal::Time(t))),
            None => {
                let found = Diagnostic::error(
                    node.span,
                    format!("{} is not an instant in RFC 3339", brief_text(&text)),
                );
                self.report(found.help("write \"2026-11-21T04:40:49Z\", with Z or an offset such as +01:00"))
            }
        }
    }

    fn text_test(&mut self, op: TextOp, args: &[&Node], span: Span) -> Option<Expr> {
        let [subject, needle] = self.arity(args, span, &format!("path.{}(\"api\")", op.name()))?;
        let subject_expr = self.any(subject)?;
        let help = match (subject_expr.ty(), op) {
            (Type::List | Type::Map, TextOp::Contains) => {
                format!("did you mean {} in {}?", self.source(needle.span), self.source(subject.span))
            }
            (Type::List, _) => {
                let (list, part) = (self.source(subject.span), self.source(needle.span));
                format!("did you mean {list}.exists(x, x.{}({part}))?", op.name())
            }
            _ => {
                let (s, n) =
                    (self.text(subject, "what is searched"), self.text(needle, "what is searched for"));
                return Some(Expr::TextTest { op, subject: Box::new(s?), needle: Box::new(n?) });
            }
        };
        let quote = self.quote(subject.span);
        let message =
            format!("{quote} is {}, and {} searches a string", with_article(subject_expr.ty()), op.name());
        self.report(Diagnostic::error(span, message).help(help))
    }

    pub(super) fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let text = self.constant_text(node, "a regular expression")?;
        self.regexes += 1;
        if self.regexes > limits::REGEXES {
            let message = format!("the filter has more than {} regular expressions", limits::REGEXES);
            return self.report(Diagnostic::error(node.span, message).help("join alternatives: \"a|b\""));
        }
        match RegexBuilder::new(&text).size_limit(limits::REGEX_BYTES).build() {
            Ok(regex) => Some(Pattern::new(regex)),
            Err(regex::Error::CompiledTooBig(_)) => {
                let found = Diagnostic::error(node.span, "the regular expression takes too much memory");
                self.report(found.help("use smaller repetition counts"))
            }
            Err(e) => {
                // The last line says what is wrong; the ones before it draw the place.
                let whole = e.to_string();
                let why = whole.lines().last().unwrap_or_default().trim();
                let why = why.strip_prefix("error: ").unwrap_or(why);
                self.error(node.span, format!("this is not a regular expression: {why}"))
            }
        }
    }

    fn map_get(&mut self, args: &[&Node], span: Span) -> Option<Expr> {
        let [map, key, default] = self.arity(args, span, "map_get(request.headers, \"x-id\", \"\")")?;
        let map_expr = self.any(map)?;
        let (Expr::Field(id), Type::Map) = (&map_expr, map_expr.ty()) else {
            let message = format!(
                "map_get looks into a map, and {} is {}",
                self.quote(map.span),
                with_article(map_expr.ty())
            );
            return self.error(map.span, message);
        };
        let (text, default) =
            (self.constant_text(key, "the key"), self.constant_text(default, "the default"));
        let key = self.settle_key(*id, &text?, key.span);
        Some(Expr::MapValueOr { map: *id, key, default: default? })
    }

    fn ip_in(&mut self, ip: Expr, networks: &Node) -> Option<Expr> {
        let list: &[Node] = match &networks.kind {
            Kind::List(items) if items.is_empty() => {
                return self.error(networks.span, "the list is empty: nothing is in it");
            }
            Kind::List(items) => items,
            _ => std::slice::from_ref(networks),
        };
        let all: Vec<Option<Expr>> = list
            .iter()
            .map(|n| Some(Expr::IpIn { ip: Box::new(ip.clone()), network: self.network(n)? }))
            .collect();
        Some(or(all.into_iter().collect::<Option<_>>()?))
    }

    fn network(&mut self, node: &Node) -> Option<Network> {
        self.nodes += 1;
        let text = self.constant_text(node, "a network")?;
        match Network::parse(&text) {
            Some(network) => Some(network),
            None => {
                let found = Diagnostic::error(
                    node.span,
                    format!("{} is not a network in CIDR notation", brief_text(&text)),
                );
                self.report(found.help("for example \"10.0.0.0/8\", \"fd00::/8\" or \"192.0.2.7\""))
            }
        }
    }

    /// `cidr("10.0.0.0/8").containsIP(src.ip)`, as in the CEL of Kubernetes.
    fn cidr_contains(
        &mut self,
        networks: &[Node],
        name: &str,
        name_span: Span,
        args: &[Node],
        span: Span,
    ) -> Option<Expr> {
        if !matches!(name, "contains" | "containsIP") {
            let found =
                Diagnostic::error(name_span, format!("cidr() has no method `{}`", crate::print::brief(name)));
            return self.report(found.help("cidr(\"10.0.0.0/8\").containsIP(src.ip)"));
        }
        let usage = "cidr(\"10.0.0.0/8\").containsIP(src.ip)";
        let networks: Vec<&Node> = networks.iter().collect();
        let args: Vec<&Node> = args.iter().collect();
        let [network] = self.arity(&networks, span, usage)?;
        let [ip] = self.arity(&args, span, usage)?;
        let (ip, network) = (self.text(ip, "the address"), self.network(network));
        Some(Expr::IpIn { ip: Box::new(ip?), network: network? })
    }

    fn quantified(
        &mut self,
        quantifier: Quantifier,
        receiver: Option<&Node>,
        args: &[Node],
        span: Span,
    ) -> Option<Expr> {
        let usage = format!("dns_questions.{}(q, q.endsWith(\".com\"))", quantifier.name());
        let args: Vec<&Node> = args.iter().collect();
        let [variable, body] = self.arity(&args, span, &usage)?;
        let Some(receiver) = receiver else {
            let message = format!("{} stands after a list", quantifier.name());
            return self.report(Diagnostic::error(span, message).help(format!("for example {usage}")));
        };
        let Kind::Ident(variable) = &variable.kind else {
            let found =
                Diagnostic::error(variable.span, "the first argument of a macro is the name of its variable");
            return self.report(found.help(format!("for example {usage}")));
        };
        if let Kind::List(items) = &receiver.kind {
            return self.written_out(quantifier, items, variable, body, receiver.span);
        }
        let over = self.any(receiver)?;
        let (Expr::Field(id), Type::List | Type::Map) = (&over, over.ty()) else {
            let message = format!(
                "{} looks at the elements of a list, and {} is {}",
                quantifier.name(),
                self.quote(receiver.span),
                with_article(over.ty())
            );
            return self.error(receiver.span, message);
        };
        self.scope.push((variable.clone(), Bound::Element(*id)));
        let predicate = self.condition(body);
        self.scope.pop();
        Some(Expr::Quantified { quantifier, over: *id, predicate: Box::new(predicate?) })
    }

    /// A macro over constants: its body once for each of them.
    fn written_out(
        &mut self,
        quantifier: Quantifier,
        items: &[Node],
        variable: &str,
        body: &Node,
        list_span: Span,
    ) -> Option<Expr> {
        if items.is_empty() {
            return self.error(list_span, "the list is empty");
        }
        if quantifier == Quantifier::ExistsOne {
            return self.error(list_span, "exists_one looks at the elements of a field, not of constants");
        }
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let text = self.constant_text(item, "an element of this list")?;
            self.scope.push((variable.to_owned(), Bound::Constant(text)));
            let checked = self.condition(body);
            self.scope.pop();
            all.push(checked?);
        }
        Some(if quantifier == Quantifier::Exists { or(all) } else { and(all) })
    }
}
