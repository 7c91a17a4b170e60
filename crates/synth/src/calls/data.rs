//! Calls to databases and brokers.

use std::fmt::Write as _;

use remora_model::{BatchSet, ValueRef, field as f};

use super::{Draw, Sizes, Writer, add};
use crate::random::Random;
use crate::text;

impl Writer {
    pub(super) fn redis(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { request, failed, .. } = draw;
        let kind = ["GET", "GET", "SET", "HGETALL"].get(random.below(4) as usize).copied().unwrap_or("GET");
        _ = match random.below(3) {
            0 => write!(self.url, "session:{}", request.user),
            1 => write!(self.url, "cart:{}", request.user),
            _ => write!(self.url, "article:{}", request.article),
        };
        _ = write!(self.asked, "{kind} {}", self.url);
        let (reply, error) = match (failed, kind) {
            (true, _) => ("error", Some("OOM command not allowed when used memory > 'maxmemory'.")),
            (_, "SET") => ("simple", None),
            _ => ("bulk", None),
        };
        match kind {
            _ if failed => {}
            "SET" => {
                self.asked.push(' ');
                text::article(&mut self.asked, request.article, 4, random);
                self.answered.push_str("OK");
            }
            _ => text::article(&mut self.answered, request.article, 4, random),
        }
        let mut fields = vec![
            (f::REDIS_TYPE, ValueRef::str(kind)),
            (f::REDIS_COMMAND, ValueRef::str(&self.asked)),
            (f::REDIS_KEY, ValueRef::str(&self.url)),
            (f::REDIS_REPLY_TYPE, ValueRef::str(reply)),
            (f::REDIS_REPLY, ValueRef::str(&self.answered)),
        ];
        fields.extend(error.map(|e| (f::REDIS_ERROR, ValueRef::str(e))));
        let sizes = Sizes {
            client_error: false,
            request: 14 + self.asked.len() as i64,
            response: 7 + self.answered.len() as i64,
        };
        add(set, random, draw, &sizes, &mut fields)
    }

    pub(super) fn kafka(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { request, failed, .. } = draw;
        let topic = ["orders", "payments", "mail", "stock", "audit"];
        let topic = topic.get(random.skewed(5) as usize).copied().unwrap_or("orders");
        let produce = random.chance(0.7);
        let records = 1 + random.skewed(20);
        let body = if produce { &mut self.asked } else { &mut self.answered };
        _ = write!(body, "{{\"topic\":\"{topic}\",\"records\":[");
        for at in 0..records {
            _ = write!(
                body,
                "{}{{\"key\":\"order-{}\",\"value\":",
                if at > 0 { "," } else { "" },
                request.number
            );
            text::article(body, request.article + at, 3, random);
            body.push('}');
        }
        body.push_str("]}");
        let topics = [topic.as_bytes()];
        let (key, name) = if produce { (0, "PRODUCE") } else { (1, "FETCH") };
        let (code, error) = if failed { (6, "NOT_LEADER_OR_FOLLOWER") } else { (0, "NONE") };
        let mut fields = vec![
            (f::KAFKA_API_KEY, ValueRef::Int(key)),
            (f::KAFKA_API_KEY_NAME, ValueRef::str(name)),
            (f::KAFKA_API_VERSION, ValueRef::Int(9)),
            (f::KAFKA_CLIENT_ID, ValueRef::str("shop")),
            (f::KAFKA_CORRELATION_ID, ValueRef::Int(draw.id.0 & 0xffff)),
            (f::KAFKA_TOPICS, ValueRef::List(&topics)),
            (f::KAFKA_REQUEST_SUMMARY, ValueRef::str(topic)),
            (f::KAFKA_RECORDS, ValueRef::Int(records as i64)),
            (f::KAFKA_ERROR_CODE, ValueRef::Int(code)),
            (f::KAFKA_ERROR, ValueRef::str(error)),
            (f::KAFKA_REQUEST, ValueRef::Bool(true)),
            (f::KAFKA_RESPONSE, ValueRef::Bool(true)),
            (f::KAFKA_REQUEST_BODY, ValueRef::str(&self.asked)),
            (f::KAFKA_RESPONSE_BODY, ValueRef::str(&self.answered)),
        ];
        let sizes = Sizes {
            client_error: false,
            request: 60 + self.asked.len() as i64,
            response: 50 + self.answered.len() as i64,
        };
        add(set, random, draw, &sizes, &mut fields)
    }

    pub(super) fn amqp(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let publish = draw.edge.median > 350.0;
        _ = write!(
            self.asked,
            "{{\"order\":{},\"user\":{},\"text\":\"",
            draw.request.number, draw.request.user
        );
        text::words(&mut self.asked, 15, random);
        self.asked.push_str("\"}");
        let mut fields = vec![
            (f::AMQP_METHOD, ValueRef::str(if publish { "basic.publish" } else { "basic.deliver" })),
            (f::AMQP_SUMMARY, ValueRef::str("orders order.created")),
            (f::AMQP_CHANNEL, ValueRef::Int(1)),
            (f::AMQP_EXCHANGE, ValueRef::str("orders")),
            (f::AMQP_ROUTING_KEY, ValueRef::str("order.created")),
            (f::AMQP_DELIVERY_TAG, ValueRef::Int(draw.id.0 & 0xffff)),
            (f::AMQP_BODY_SIZE, ValueRef::Int(self.asked.len() as i64)),
            (f::AMQP_BODY, ValueRef::str(&self.asked)),
            (f::AMQP_VIRTUAL_HOST, ValueRef::str("/")),
            (f::AMQP_USER, ValueRef::str("shop")),
        ];
        let sizes = Sizes { client_error: false, request: 90 + self.asked.len() as i64, response: 21 };
        add(set, random, draw, &sizes, &mut fields)
    }

    pub(super) fn mongodb(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { request, failed, .. } = draw;
        let collection = if draw.edge.client == 3 { "index" } else { "articles" };
        let collection = if draw.edge.client == 10 { "reviews" } else { collection };
        _ = write!(
            self.asked,
            "{{\"find\":\"{collection}\",\"filter\":{{\"article\":{}}},\"limit\":20,\"$db\":\"shop\"}}",
            request.article
        );
        let documents = 1 + random.skewed(20);
        if !failed {
            _ = write!(self.answered, "{{\"cursor\":{{\"firstBatch\":[");
            for at in 0..documents {
                if at > 0 {
                    self.answered.push(',');
                }
                text::article(&mut self.answered, request.article + at, 6, random);
            }
            self.answered.push_str("],\"id\":0},\"ok\":1}");
        }
        let mut fields = vec![
            (f::MONGODB_COMMAND, ValueRef::str("find")),
            (f::MONGODB_DATABASE, ValueRef::str("shop")),
            (f::MONGODB_COLLECTION, ValueRef::str(collection)),
            (f::MONGODB_OPCODE, ValueRef::str("OP_MSG")),
            (f::MONGODB_SUCCESS, ValueRef::Bool(!failed)),
            (f::MONGODB_REQUEST_ID, ValueRef::Int(draw.id.0 & 0xffff_ffff)),
            (f::MONGODB_DOCUMENTS, ValueRef::Int(documents as i64)),
            (f::MONGODB_REQUEST_BODY, ValueRef::str(&self.asked)),
            (f::MONGODB_RESPONSE_BODY, ValueRef::str(&self.answered)),
        ];
        if failed {
            fields.push((f::MONGODB_ERROR_CODE, ValueRef::Int(50)));
            fields.push((f::MONGODB_ERROR_CODE_NAME, ValueRef::str("MaxTimeMSExpired")));
        }
        let sizes = Sizes {
            client_error: false,
            request: 21 + self.asked.len() as i64,
            response: 60 + self.answered.len() as i64,
        };
        add(set, random, draw, &sizes, &mut fields)
    }

    pub(super) fn postgresql(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { request, failed, .. } = draw;
        let (command, query, table) = match (draw.edge.client, random.below(3)) {
            (9, _) => ("SELECT", "SELECT id, name, mail FROM users WHERE id = $1", "users"),
            (8, _) => {
                ("SELECT", "SELECT price FROM prices WHERE article = $1 AND valid_to > now()", "prices")
            }
            (_, 0) => ("INSERT", "INSERT INTO orders (id, customer, total) VALUES ($1, $2, $3)", "orders"),
            (_, 1) => ("UPDATE", "UPDATE stock SET count = count - 1 WHERE article = $1", "stock"),
            _ => ("SELECT", "SELECT id, total, state FROM orders WHERE customer = $1 ORDER BY id", "orders"),
        };
        _ = write!(self.asked, "{}", if table == "prices" { request.article } else { request.user });
        let parameters = [self.asked.as_bytes()];
        let tables = [table.as_bytes()];
        let rows = if command == "SELECT" && !failed { 1 + random.skewed(30) } else { 1 };
        if command == "SELECT" && !failed {
            for at in 0..rows {
                _ = writeln!(self.answered, "{}\t{}.{:02}\tpaid", request.number + at, random.below(500), at);
            }
        }
        let mut fields = vec![
            (f::POSTGRESQL_COMMAND, ValueRef::str(command)),
            (f::POSTGRESQL_QUERY, ValueRef::str(query)),
            (f::POSTGRESQL_PARAMETERS, ValueRef::List(&parameters)),
            (f::POSTGRESQL_DATABASE, ValueRef::str("shop")),
            (f::POSTGRESQL_USER, ValueRef::str("app")),
            (f::POSTGRESQL_ROWS, ValueRef::Int(rows as i64)),
            (f::POSTGRESQL_SUCCESS, ValueRef::Bool(!failed)),
            (f::SQL_TABLES, ValueRef::List(&tables)),
            (f::RESPONSE_BODY, ValueRef::str(&self.answered)),
        ];
        if failed {
            fields.push((f::POSTGRESQL_ERROR_CODE, ValueRef::str("40001")));
            fields.push((f::POSTGRESQL_ERROR_MESSAGE, ValueRef::str("could not serialize access")));
        }
        let sizes = Sizes {
            client_error: false,
            request: 40 + (query.len() + self.asked.len()) as i64,
            response: 30 + self.answered.len() as i64,
        };
        add(set, random, draw, &sizes, &mut fields)
    }
}
