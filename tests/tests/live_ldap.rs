//! The clients of OpenLDAP against slapd: every operation, and no password.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{output, skipped, text, wait_for};
use serde_json::json;

const BASE: &str = "dc=shop,dc=example";
const PASSWORD: &str = "hunter-of-the-test";

/// slapd with an empty database. Dropping it ends it.
struct Slapd(Child);

impl Slapd {
    fn start(dir: &Path, port: u16) -> Result<Self> {
        let data = dir.join("directory");
        std::fs::create_dir(&data)?;
        let config = dir.join("slapd.conf");
        std::fs::write(
            &config,
            format!(
                "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
                 include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\
                 database mdb\nsuffix {BASE}\nrootdn cn=admin,{BASE}\nrootpw {PASSWORD}\ndirectory {}\n",
                data.display()
            ),
        )?;
        let mut command = Command::new("slapd");
        // With a level of debugging it stays in the foreground.
        command.args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}/"), "-f"]).arg(config);
        let log = std::fs::File::create(dir.join("slapd.log"))?;
        Ok(Self(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?))
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn every_operation_is_seen() -> Result<()> {
    let programs = ["slapd", "ldapsearch", "ldapadd", "ldapmodify", "ldapcompare", "ldapwhoami"];
    if skipped("every_operation_is_seen", &programs) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let _slapd = Slapd::start(remora.dir(), port)?;
    let url = format!("ldap://127.0.0.1:{port}");
    let admin = format!("cn=admin,{BASE}");
    let client = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-x", "-H", &url, "-D", &admin, "-w", PASSWORD]);
        command
    };
    wait_for("slapd answers", || {
        let done = client("ldapwhoami").output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        Ok(if done.status.success() { Ok(()) } else { Err(said) })
    })?;
    let here = format!("ldap && dst.port == {port} && dst.process == \"slapd\"");

    let people = remora.dir().join("people.ldif");
    std::fs::write(
        &people,
        format!(
            "dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Shop\ndc: shop\n\n\
             dn: uid=anna,{BASE}\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: A\nmail: anna@shop.example\n\
             userPassword: {PASSWORD}\n"
        ),
    )?;
    output(client("ldapadd").arg("-f").arg(&people))?;
    let added = remora.wait_for_calls(
        &format!("{here} && ldap_type == \"addRequest\""),
        "ldap_dn,ldap_result,ldap_user,ldap_request_body,failed,incomplete",
        2,
    )?;
    ensure!(
        added[1]["ldap_dn"] == format!("uid=anna,{BASE}") && added[1]["ldap_user"] == admin,
        "{}",
        added[1]
    );
    ensure!(text(&added[1], "ldap_request_body").ends_with("userPassword: ***\n"), "{}", added[1]);
    ensure!(added.iter().all(|row| row["ldap_result"] == "success" && row["failed"] == false), "{added:?}");

    let filter = "(&(objectClass=inetOrgPerson)(|(uid=a*)(!(mail=*))))";
    let printed =
        output(client("ldapsearch").args(["-LLL", "-o", "ldif-wrap=no", "-b", BASE, filter, "mail"]))?;
    let found = remora.wait_for_calls(
        &format!("{here} && ldap_type == \"searchRequest\" && ldap_filter.contains(\"uid=a\")"),
        "ldap_filter,ldap_scope,ldap_dn,ldap_attributes,ldap_entries,ldap_response_body,elapsed_time,incomplete",
        1,
    )?;
    let row = &found[0];
    ensure!(row["ldap_filter"] == filter && row["ldap_scope"] == "sub" && row["ldap_dn"] == BASE, "{row}");
    ensure!(row["ldap_attributes"] == json!(["mail"]) && row["ldap_entries"] == 1, "{row}");
    ensure!(text(row, "ldap_response_body").trim() == printed.trim(), "{row}: {printed}");
    ensure!(row["incomplete"].is_null() && row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{row}");

    // They end with the result as their status.
    let compared = client("ldapcompare").args([&format!("uid=anna,{BASE}"), "sn:B"]).output()?;
    ensure!(compared.status.code() == Some(5), "{compared:?}");
    let missing = client("ldapsearch").args(["-b", &format!("ou=nowhere,{BASE}")]).output()?;
    ensure!(missing.status.code() == Some(32), "{missing:?}");
    let mut wrong = Command::new("ldapwhoami");
    wrong.args(["-x", "-H", &url, "-D", &admin, "-w", "guessed-password"]);
    ensure!(wrong.output()?.status.code() == Some(49), "the password was not refused");
    for (kind, result, failed) in [
        ("compareRequest", "compareFalse", false),
        ("searchRequest", "noSuchObject", true),
        ("bindRequest", "invalidCredentials", true),
    ] {
        let kfl = format!("{here} && ldap_type == \"{kind}\" && ldap_result == \"{result}\"");
        let rows = remora.wait_for_calls(&kfl, "failed,client_error", 1)?;
        ensure!(rows[0]["failed"] == failed && rows[0]["client_error"] == failed, "{kind}: {}", rows[0]);
    }
    let who = remora.wait_for_calls(
        &format!("{here} && ldap_extension == \"WhoAmI\" && ldap_response"),
        "ldap_response_body",
        1,
    )?;
    ensure!(who[0]["ldap_response_body"] == format!("authzId: dn:{admin}\n"), "{}", who[0]);
    let all =
        remora.calls(&here, "ldap_summary,ldap_request_body,ldap_response_body,ldap_filter,ldap_type")?;
    let secrets = [PASSWORD, "guessed-password"];
    ensure!(!secrets.iter().any(|s| format!("{all:?}").contains(s)), "a password was kept");
    remora.stop()
}
