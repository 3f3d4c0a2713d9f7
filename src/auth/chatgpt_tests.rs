use super::*;
use proptest::prelude::*;
use serde_json::json;

fn token(claims: &Value) -> String {
    format!(
        "e30.{}.c2ln",
        URL_SAFE_NO_PAD.encode(claims.to_string().as_bytes())
    )
}

fn file(exp: u64) -> Value {
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": token(&json!({CLAIM: {"chatgpt_account_id": "acc-of-claim"}})),
            "access_token": token(&json!({"exp": exp})),
            "refresh_token": "rt_one", "account_id": "acc-of-file",
        },
        "last_refresh": "2026-11-20T10:00:00Z",
    })
}

fn parse(value: &Value) -> Result<AuthFile, FileError> {
    AuthFile::parse(value.to_string().as_bytes())
}

#[test]
fn a_login_is_read_and_its_account_is_found_wherever_it_stands() {
    let mut value = file(5000);
    let account = |value: &Value| parse(value).unwrap().credential().account_id.clone();
    assert_eq!(account(&value).as_deref(), Some("acc-of-file"));
    value["tokens"]["account_id"] = Value::Null;
    assert_eq!(account(&value).as_deref(), Some("acc-of-claim"));
    let access = json!({"exp": 1, CLAIM: {"chatgpt_account_id": "acc-of-access"}});
    value["tokens"]["access_token"] = token(&access).into();
    value["tokens"]["id_token"] = "no token at all".into();
    assert_eq!(account(&value).as_deref(), Some("acc-of-access"));
    value["tokens"]["account_id"] = "two\r\nlines".into();
    assert_eq!(account(&value), None);
}

#[test]
fn a_token_is_refreshed_a_little_before_its_end() {
    let login = parse(&file(10_000)).unwrap();
    let at = |now| login.freshness(now);
    assert_eq!(at(10_000 - REFRESH_EARLY_S - 1), Freshness::Fresh);
    assert_eq!(at(10_000 - REFRESH_EARLY_S), Freshness::Ending);
    assert_eq!(at(9_999), Freshness::Ending);
    assert_eq!(at(10_000), Freshness::Expired);
    let mut opaque = file(0);
    opaque["tokens"]["access_token"] = "opaque".into();
    let opaque = parse(&opaque).unwrap();
    assert_eq!(opaque.freshness(u64::MAX), Freshness::Fresh);
}

#[test]
fn other_files_are_refused_without_a_word_of_theirs() {
    let mut key = file(1);
    key["auth_mode"] = "apikey".into();
    assert_eq!(
        parse(&key).unwrap_err(),
        FileError::OtherMode("apikey".into())
    );
    let old = json!({"OPENAI_API_KEY": "sk-secret", "tokens": null});
    let error = parse(&old).unwrap_err();
    assert!(error.to_string().contains("apikey") && !error.to_string().contains("secret"));
    let mut older = file(1);
    older.as_object_mut().unwrap().remove("auth_mode");
    assert!(parse(&older).is_ok());
    for bad in ["", "[]", "{\"auth_mode\":\"chatgpt\"", "null"] {
        assert_eq!(
            AuthFile::parse(bad.as_bytes()).unwrap_err(),
            FileError::NotJson
        );
    }
    for bad in [json!("a b"), json!(""), json!("a\r\nx: y"), json!(7)] {
        let mut value = file(1);
        value["tokens"]["access_token"] = bad;
        assert_eq!(parse(&value).unwrap_err(), FileError::NoToken);
    }
}

#[test]
fn a_refresh_asks_as_codex_does() {
    let login = parse(&file(1)).unwrap();
    let body = login.refresh_request("app_x", Reason::Refused).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let asked = json!({"client_id": "app_x", "grant_type": "refresh_token",
        "refresh_reason": "unauthorized_recovery", "refresh_token": "rt_one"});
    assert_eq!(body, asked);
    let mut value = file(1);
    value["tokens"]["refresh_token"] = "".into();
    let login = parse(&value).unwrap();
    assert!(login.refresh_request("app_x", Reason::Expiry).is_none());
}

#[test]
fn answers_of_the_token_server() {
    let whole = br#"{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":1}"#;
    let tokens = read_answer(200, whole).unwrap();
    assert_eq!(tokens.access_token.expose(), "a");
    assert_eq!(tokens.refresh_token.unwrap().expose(), "r");
    assert!(
        read_answer(200, br#"{"access_token":"a"}"#)
            .unwrap()
            .id_token
            .is_none()
    );
    let ended = |code: &str| RefreshError::Ended(code.into());
    let later = |why: &str| RefreshError::Unavailable(why.into());
    for (status, body, expected) in [
        (
            401,
            r#"{"error":{"code":"refresh_token_reused","message":"rt_one was used"}}"#,
            ended("refresh_token_reused"),
        ),
        (400, r#"{"error":"invalid_grant"}"#, ended("invalid_grant")),
        (
            403,
            r#"{"code":"refresh_token_expired"}"#,
            ended("refresh_token_expired"),
        ),
        (401, "<html>", ended("status 401")),
        (401, r#"{"error":"rt_secret: gone"}"#, ended("status 401")),
        (429, "", later("it answered status 429")),
        (
            500,
            r#"{"error":"server_error"}"#,
            later("it answered server_error"),
        ),
        (200, "{}", later("its answer holds no access token")),
        (
            200,
            r#"{"access_token":"a\r\nb"}"#,
            later("its answer holds no access token"),
        ),
    ] {
        assert_eq!(
            read_answer(status, body.as_bytes()).unwrap_err(),
            expected,
            "{body}"
        );
    }
}

#[test]
fn nothing_of_a_login_can_be_printed() {
    let login = parse(&file(1)).unwrap();
    let tokens = read_answer(
        200,
        br#"{"access_token":"at_two","refresh_token":"rt_two"}"#,
    );
    let shown = format!("{login:?} {:?} {tokens:?}", login.credential());
    for secret in [
        "rt_one",
        "e30",
        "at_two",
        "rt_two",
        login.credential().access_token.expose(),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (unix_s, date) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (951_868_800, "2000-03-01T00:00:00Z"),
        (1_795_207_653, "2026-11-20T20:47:33Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(rfc3339(unix_s), date);
    }
}

/// Members that are not known here.
fn others() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z_]{1,6}", inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    });
    prop::collection::hash_map("x_[a-z]{1,5}", value, 0..5).prop_map(|m| m.into_iter().collect())
}

proptest! {
    #[test]
    fn a_refresh_changes_the_tokens_and_nothing_else(
        top in others(), inner in others(), access in "[!-~]{1,40}",
        refresh in prop::option::of("[!-~]{1,20}"), now in 0u64..=253_402_300_799,
    ) {
        let mut before = file(1);
        before.as_object_mut().unwrap().extend(top);
        before["tokens"].as_object_mut().unwrap().extend(inner);
        let login = parse(&before).unwrap();
        let answer = json!({"access_token": access, "refresh_token": refresh});
        let tokens = read_answer(200, answer.to_string().as_bytes()).unwrap();
        let bytes = login.refreshed(&tokens, now);
        let after: Value = serde_json::from_slice(&bytes).unwrap();
        let mut expected = before;
        expected["tokens"]["access_token"] = access.clone().into();
        if let Some(refresh) = &refresh {
            expected["tokens"]["refresh_token"] = refresh.clone().into();
        }
        expected["last_refresh"] = rfc3339(now).into();
        prop_assert_eq!(&after, &expected);
        let order = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        prop_assert_eq!(order(&after), order(&expected));
        let again = AuthFile::parse(&bytes).unwrap();
        prop_assert!(again.presents(&Secret::new(access)));
        let kept = refresh.unwrap_or_else(|| "rt_one".to_owned());
        prop_assert_eq!(again.refresh_token().unwrap().expose(), kept);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), status: u16) {
        let _ = AuthFile::parse(&bytes);
        let _ = read_answer(status, &bytes);
    }

    #[test]
    fn no_token_is_too_strange(access in "[!-~]{0,20}", id in ".{0,20}", payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut value = file(1);
        value["tokens"]["id_token"] = id.into();
        value["tokens"]["access_token"] = format!("{access}.{}.x", URL_SAFE_NO_PAD.encode(payload)).into();
        prop_assert!(parse(&value).is_ok());
    }
}
