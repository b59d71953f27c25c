//! Tests of the console in headless Chromium.
//!
//! Without `chromium` and `chromedriver` they are skipped with a note, except in the gate.

mod chromium;

use std::fs;
use std::path::Path;

use serde_json::json;

use super::fixture::Console;
use super::pages::{SUPPORT, parked};
pub(super) use chromium::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_shows_a_change_without_being_loaded_again() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, operation) = parked(&console, "Example GmbH").await;
    let Some(browser) = Browser::start(&console).await else { return };
    browser.open(&format!("/console/tenants/{tenant}")).await;
    browser.wait_for("Live").await;
    let open_folds = "window.mark = 1; const folds = document.querySelectorAll('main .timeline details'); \
                      folds.forEach(fold => fold.open = true); return folds.length";
    let folds = browser.run(open_folds).await;
    assert!(folds.as_u64() > Some(0), "the timeline has no folds");

    console.post(&format!("/console/operations/{operation}/retry"), &[]).await;
    browser.wait_for("in the queue of AWS").await;
    assert_eq!(browser.run("return window.mark").await, 1, "the page was loaded again");
    let open = browser.run("return document.querySelectorAll('main .timeline details[open]').length").await;
    assert_eq!(open, folds, "a fold was closed");
    assert_eq!(browser.messages().await, [""; 0]);
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_found_and_rescued_with_and_without_scripts() {
    let console = Console::signed_in("sue", SUPPORT).await;
    let Some(browser) = Browser::start(&console).await else { return };
    for has_scripts in [true, false] {
        let name = if has_scripts { "Example One" } else { "Example Two" };
        let (tenant, operation) = parked(&console, name).await;
        browser.command("Emulation.setScriptExecutionDisabled", json!({ "value": !has_scripts })).await;
        browser.open("/console").await;
        browser.type_and_submit(".find input", name).await;
        browser.wait_for("What you can tell the customer").await;
        assert_eq!(browser.path().await, format!("/console/tenants/{tenant}"));
        browser.click(&format!("form[action='/console/operations/{operation}/retry'] button")).await;
        browser.wait_for("in the queue of AWS").await;
        assert_eq!(browser.path().await, format!("/console/operations/{operation}"));
        // The operation of the next turn must be the only one that is due.
        console.api.succeed_operation(if has_scripts { "111122223333" } else { "222233334444" }).await;
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_call_takes_one_search_and_at_most_two_clicks() {
    let console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, operation) = parked(&console, "Example Bakery GmbH").await;
    let Some(browser) = Browser::start(&console).await else { return };
    browser.open("/console").await;
    browser.type_and_submit(".find input", "bakery").await;
    // The search leads to the tenant, with nothing to click before the reason, the next step and the sentence are seen.
    for text in ["stack_failed", "Nothing until a person decides.", "What you can tell the customer"] {
        browser.wait_for(text).await;
    }
    assert_eq!(browser.path().await, format!("/console/tenants/{tenant}"));
    let retry = format!("form[action='/console/operations/{operation}/retry'] button");
    assert_eq!(browser.run(&format!("return document.querySelectorAll(\"{retry}\").length")).await, 1);
    // Giving up needs two clicks and the name.
    browser.click("ol.remedies summary.button").await;
    let cancel = format!("form[action='/console/operations/{operation}/cancel']");
    browser.click(&format!("{cancel} button")).await;
    assert_eq!(browser.path().await, format!("/console/tenants/{tenant}"), "nothing is sent without the name");
    browser.type_text(&format!("{cancel} input"), "Example Bakery GmbH").await;
    browser.click(&format!("{cancel} button")).await;
    browser.wait_for("Canceled").await;
    let state = console.api.get(&format!("/v1/operations/{operation}")).await.json()["state"].clone();
    assert_eq!(state, "canceled");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_its_screen() {
    let mut console = Console::of_operator().await;
    let (tenant, operation) = parked(&console, "Example with a rather long company name GmbH & Co. KG").await;
    parked(&console, "Example GmbH").await;
    let Some(browser) = Browser::start(&console).await else { return };
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    fs::create_dir_all(&pictures).expect("a folder");
    let axe = axe();
    let mut pages = console.links("/console").await;
    pages.extend([
        format!("/console/tenants/{tenant}"),
        format!("/console/operations/{operation}"),
        "/console/search?q=a".to_owned(),
        "/console/search?q=nothing".to_owned(),
        "/console/tenants/ten_unknown".to_owned(),
    ]);
    let mut faults = Vec::new();
    for (width, theme) in [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")] {
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        browser.command("Emulation.setDeviceMetricsOverride", screen).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        browser.command("Emulation.setEmulatedMedia", media).await;
        for page in &pages {
            browser.open(page).await;
            let overflow = "return document.documentElement.scrollWidth - window.innerWidth";
            let overflow = browser.run(overflow).await;
            if overflow.as_i64() > Some(0) {
                faults.push(format!("{page} is {overflow} px too wide at {width} px"));
            }
            // Chromium reports the status of an error page, which is what the page is for.
            let messages = browser.messages().await.into_iter().filter(|one| !one.contains("ten_unknown"));
            faults.extend(messages.map(|message| format!("{page}: {message}")));
            if let Some(axe) = &axe {
                let violations = browser.violations(axe).await;
                let violations = violations.as_array().expect("a list").iter();
                faults.extend(violations.map(|one| format!("{page} at {width} px, {theme}: {one}")));
                let contrasts = browser.low_or_unknown_contrasts(axe).await;
                let contrasts = contrasts.as_array().expect("a list").iter();
                faults.extend(contrasts.map(|one| format!("{page}, {theme}: contrast of {one}")));
            }
            let name = page.trim_start_matches('/').replace(['/', '?', '=', '&'], "-");
            let name = name.replace(&tenant, "tenant").replace(&operation, "operation");
            let picture = browser.driver.screenshot_as_png().await.expect("a picture");
            fs::write(pictures.join(format!("{name}-{width}-{theme}.png")), picture).expect("a picture");
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    browser.quit().await;
}

/// Returns the source of axe-core. Returns `None` if it is not installed and `FREEHOLD_REQUIRE_BROWSER` is not set.
fn axe() -> Option<String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../node/node_modules/axe-core/axe.min.js");
    let source = fs::read_to_string(&path);
    assert!(source.is_ok() || std::env::var_os("FREEHOLD_REQUIRE_BROWSER").is_none(), "no file {}", path.display());
    if source.is_err() {
        eprintln!("skipped: the rules of axe-core; install them: npm ci --prefix target/node (see .ci/run)");
    }
    source.ok()
}
