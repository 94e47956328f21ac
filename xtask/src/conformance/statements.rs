//! The list of statements.

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Client,
    Server,
    Both,
}

/// One statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// With `MQTT-`, without brackets.
    pub(super) id: String,
    pub(super) bound: Bound,
    pub(super) says: String,
    /// Why there is nothing to show.
    pub(super) reason: Option<String>,
    /// Statements of 5.0 that say the same.
    pub(super) same_as: Vec<String>,
}

impl Statement {
    /// Whether code and a test are needed.
    pub(super) fn is_to_be_shown(&self) -> bool {
        self.bound != Bound::Server && self.reason.is_none()
    }
}

/// Reads `text`; `file` is for the error.
pub(super) fn parse(text: &str, file: &str) -> Result<Vec<Statement>, String> {
    let mut statements: Vec<Statement> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let at = |what: &str| format!("xtask/src/conformance/{file}:{}: {what}", index + 1);
        let statement = parse_line(line).ok_or(at("not `id | whom | what | why`"))?;
        if statements.iter().any(|other| other.id == statement.id) {
            return Err(at("the statement is there twice"));
        }
        statements.push(statement);
    }
    Ok(statements)
}

fn parse_line(line: &str) -> Option<Statement> {
    let mut fields = line.split(" | ");
    let id = fields.next().filter(|id| id.starts_with("MQTT-"))?.to_owned();
    let bound = match fields.next()? {
        "client" => Bound::Client,
        "server" => Bound::Server,
        "both" => Bound::Both,
        _ => return None,
    };
    let says = fields.next().filter(|says| !says.is_empty())?.to_owned();
    let last = fields.next();
    let same_as = last.and_then(|last| last.strip_prefix("= "));
    let reason = if same_as.is_none() { last.map(str::to_owned) } else { None };
    let same_as = same_as.map_or(Vec::new(), |ids| ids.split(' ').map(str::to_owned).collect());
    fields.next().is_none().then_some(Statement { id, bound, says, reason, same_as })
}
