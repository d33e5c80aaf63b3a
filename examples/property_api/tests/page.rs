//! The page of the cache in a browser, over two processes of the service under load.

mod browser;
mod process;
mod scene;

use std::path::Path;
use std::time::Duration;

use browser::Browser;
use fantoccini::key::Key;
use process::{Call, Service};
use scene::{OPERATE, Scene, VIEW};
use serde_json::{Value, json};
use support::eventually;

const BUY: Call<'_> = Call("/api/areas/buy", None);
const RENT: Call<'_> = Call("/api/areas/rent", None);

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(10);

/// Opens the page of the first process as its operator, and waits for its figures.
async fn opened(scene: &Scene) -> Browser {
    let browser = Browser::start().await;
    browser.open(&scene.page(0, OPERATE, "/cache")).await;
    browser.until_shown("main").await;
    // So that a test sees a change soon.
    let often = "const every = document.querySelector('[data-test=refresh]'); every.value = '2'; \
        every.dispatchEvent(new Event('change'));";
    browser.script(often).await;
    browser
}

#[tokio::test(flavor = "multi_thread")]
async fn it_loads_without_a_violation_and_its_figures_move() {
    let scene = Scene::start().await;
    let browser = Browser::start().await;
    let load = scene.load(1, PAUSE);
    for path in ["/cache", "/cache/"] {
        browser.open(&scene.page(0, OPERATE, path)).await;
        browser.until("document.querySelector('[data-test=status]').dataset.status === 'up'").await;
        browser.until("document.querySelectorAll('[data-test=prefix-row]').length === 3").await;
        assert_eq!(browser.text("[data-test=environment]").await, "staging");
        assert_eq!(browser.violations().await, [""; 0], "{path}");
        assert_eq!(browser.complaints().await, [""; 0], "{path}");
    }
    browser.until("document.querySelectorAll('[data-test=process-row]').length === 2").await;
    browser
        .until("parseFloat(document.querySelector('[data-test=stat-calls] .figure').innerText) > 0")
        .await;
    let before = browser.text("[data-test=stat-runs] .figure").await;
    browser
        .until(&format!(
            "document.querySelector('[data-test=stat-runs] .figure').innerText !== '{before}'"
        ))
        .await;
    assert_eq!(browser.violations().await, [""; 0]);
    assert_eq!(browser.complaints().await, [""; 0]);
    // The listener hears a violation, and the policy is in force.
    browser.script("document.body.setAttribute('style', 'color: red')").await;
    browser.until("window.violations.length > 0").await;
    assert!(load.end() > 0);
    browser.close().await;
}

/// Fills the reason of the open dialog and submits it by a click.
async fn submit(browser: &Browser, reason: &str) {
    browser.until_shown("[data-test=dialog]").await;
    browser.click("[data-test=dialog-reason]").await;
    browser.type_text(reason).await;
    browser.click("[data-test=dialog-submit]").await;
    browser.until_gone("[data-test=dialog]").await;
}

/// A button in the row of a prefix.
fn button(prefix: &str, action: &str) -> String {
    format!("[data-prefix={prefix}] [data-test={action}-prefix]")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidation_by_click_is_followed_by_a_miss_in_both_processes() {
    let scene = Scene::start().await;
    let [first, second] = &scene.services;
    first.until_hit(BUY).await;
    second.until_hit(RENT).await;
    let browser = opened(&scene).await;
    browser.click(&button("areas", "clear")).await;
    assert_eq!(browser.text("[data-test=dialog-target]").await, "Clear prefix areas");
    submit(&browser, "the import was wrong").await;
    browser.until_shown("[data-test=notice]").await;
    assert!(browser.text("[data-test=notice]").await.contains("Cleared prefix areas."));
    for (service, call) in [(first, BUY), (second, RENT)] {
        let answer = service.call(call);
        assert!(answer.is("computed"), "{answer:?}");
    }
    browser.until("document.querySelector('[data-test=audit-item]')").await;
    let item = browser.text("[data-test=audit-item]").await;
    for part in ["operate (tester)", "invalidate", "prefix areas", "the import was wrong", "(ok)"] {
        assert!(item.contains(part), "{item}");
    }
    browser.close().await;
}

/// Waits until both processes answer a call with this outcome.
async fn both(scene: &Scene, outcome: &str) {
    for service in &scene.services {
        eventually(outcome, || async { service.call(BUY).is(outcome) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_by_click_stops_hits_in_both_processes_until_its_time_is_over() {
    let scene = Scene::start().await;
    both(&scene, "hit").await;
    let browser = opened(&scene).await;
    browser.until("document.querySelectorAll('[data-test=process-row]').length === 2").await;
    browser.click(&button("areas", "switch")).await;
    browser.click("[data-test=dialog-reach] label:first-of-type").await;
    browser.click("[data-test=dialog-seconds] option[value=\"60\"]").await;
    submit(&browser, "a look at the database").await;
    both(&scene, "bypassed (off)").await;
    browser.until_shown("[data-test=switched-off]").await;
    let line = browser.text("[data-test=switched-off]").await;
    for part in
        ["areas is switched off in all processes", "a look at the database", "On again at", "in "]
    {
        assert!(line.contains(part), "{line}");
    }
    switch_on(&browser).await;
    both(&scene, "hit").await;

    // The page offers a minute at the least; three seconds are an end that a test can wait for.
    let body = json!({ "on": false, "prefix": "areas", "reason": "a while", "seconds": 3, "reach": "fleet" });
    assert_eq!(post(&browser, "switch", &body).await, 200);
    browser.until_shown("[data-test=switched-off]").await;
    assert!(scene.services[0].call(BUY).is("bypassed (off)"));
    both(&scene, "hit").await;
    browser.until_gone("[data-test=switched-off]").await;
    browser.close().await;
}

/// Switches on again, by clicks, the one thing that is off.
async fn switch_on(browser: &Browser) {
    browser.click("[data-test=switch-on]").await;
    browser.until_shown("[data-test=dialog]").await;
    browser.click("[data-test=dialog-submit]").await;
    browser.until_gone("[data-test=switched-off]").await;
    browser.until_shown("[data-test=notice]").await;
}

/// The status of a request that a script sends from the page.
async fn post(browser: &Browser, path: &str, body: &Value) -> u16 {
    let script = format!(
        "const page = location.origin + location.pathname.replace(/\\/$/, ''); \
         const headers = {{ 'content-type': 'application/json' }}, body = JSON.stringify({body}); \
         return fetch(`${{page}}/{path}`, {{ method: 'POST', headers, body }}).then(({{ status }}) => status);"
    );
    let status = browser.script(&script).await;
    status.as_u64().and_then(|status| status.try_into().ok()).expect("a status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_figures_and_changes_nothing() {
    let scene = Scene::start().await;
    scene.services[0].until_hit(BUY).await;
    let browser = Browser::start().await;
    browser.open(&scene.page(0, VIEW, "/cache")).await;
    browser.until_shown("[data-test=read-only]").await;
    assert!(browser.text("[data-test=role]").await.contains("role view"));
    assert!(browser.shows("[data-prefix=areas]").await);
    for action in [
        "[data-test=actions]",
        "[data-test=warm]",
        &button("areas", "clear"),
        &button("areas", "switch"),
    ] {
        assert!(!browser.shows(action).await, "{action}");
    }
    let clear = json!({ "prefix": "areas", "reason": "by a script" });
    assert_eq!(post(&browser, "invalidate", &clear).await, 405);
    let switch = json!({ "on": false, "reason": "by a script", "seconds": 60, "reach": "fleet" });
    assert_eq!(post(&browser, "switch", &switch).await, 405);
    assert!(scene.services[0].call(BUY).is("hit"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_gets_no_figure() {
    let scene = Scene::start().await;
    scene.services[0].until_hit(BUY).await;
    let browser = Browser::start().await;
    // The browser asks for another password, and shows nothing meanwhile.
    browser.open(&scene.page(0, "no-token-of-anybody", "/cache")).await;
    assert_eq!(browser.value("document.querySelectorAll('[data-test]').length").await, 0);
    assert_eq!(browser.text("body").await, "");
    // A page of the same origin that sends a wrong token is told so, and nothing else.
    browser.open(&format!("{}/health", scene.services[0].base)).await;
    for path in ["/cache", "/cache/stats", "/cache/metrics"] {
        let headers = "{ authorization: 'Bearer no-token-of-anybody' }";
        let told = format!(
            "return fetch('{path}', {{ headers: {headers}, credentials: 'omit' }}) \
             .then(async (answer) => [answer.status, Object.keys(await answer.json())]);"
        );
        assert_eq!(browser.script(&told).await, json!([401, ["error"]]), "{path}");
    }
    browser.open(&scene.page(0, OPERATE, "/cache")).await;
    browser.until_shown("[data-prefix=areas]").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_and_back_is_a_picture_that_comes_and_goes() {
    let mut scene = Scene::start().await;
    let load = scene.load(1, PAUSE);
    let browser = opened(&scene).await;
    browser.until("document.querySelector('[data-test=status]').dataset.status === 'up'").await;
    assert!(!browser.shows("[data-test=outage]").await);
    scene.redis.kill();
    browser.until_shown("[data-test=outage]").await;
    let said = browser.text("[data-test=outage]").await;
    for part in
        ["Redis is down", "Since", "Why", "Callers get", "what their functions return", "Next"]
    {
        assert!(said.contains(part), "{said}");
    }
    assert!(browser.shows("[data-test=outage] svg").await);
    // The rate of the outage alone, which the second answer during it tells.
    browser.until("parseFloat(document.getElementById('outage-runs').textContent) > 0").await;
    assert_eq!(scene.services[0].health().json()["cache"], "down");
    let during = load.answered();
    eventually("callers are answered during it", || async { load.answered() > during + 20 }).await;
    scene.redis.restart().await;
    browser.until_gone("[data-test=outage]").await;
    browser.until("document.querySelector('[data-test=status]').dataset.status === 'up'").await;
    load.end();
    assert_eq!(browser.violations().await, [""; 0]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_below_another_path() {
    let scene = Scene::start_with(1000, &["--admin-path", "/a/b/"], &[]).await;
    scene.services[0].until_hit(BUY).await;
    assert_eq!(scene.services[0].call(Call("/cache", None)).status, 404);
    let browser = Browser::start().await;
    for path in ["/a/b", "/a/b/"] {
        browser.open(&scene.page(0, OPERATE, path)).await;
        browser.until_shown("[data-prefix=areas]").await;
        assert_eq!(browser.violations().await, [""; 0], "{path}");
        assert_eq!(browser.complaints().await, [""; 0], "{path}");
        browser.click(&button("areas", "clear")).await;
        submit(&browser, &format!("from {path}")).await;
        assert!(scene.services[0].call(BUY).is("computed"), "{path}");
        scene.services[0].until_hit(BUY).await;
    }
    browser.close().await;
}

#[test]
fn without_a_token_there_is_no_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(&folder.path().join("property.db"), None);
    assert_eq!(service.call(Call("/cache", None)).status, 404);
}

#[test]
fn a_path_of_the_api_cannot_be_that_of_the_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in ["/api/cache", "/health", "/", "cache", "/{name}", "/a//b"] {
        let mut command = process::program(&folder.path().join("property.db"), 1000);
        let ended = command.args(["--admin-path", path]).output().expect("the service starts");
        assert_eq!(ended.status.code(), Some(2), "{path}");
    }
}

/// The element that has the focus, by its handle for tests.
async fn focused(browser: &Browser) -> String {
    let handle = browser.value("document.activeElement?.dataset.test ?? ''").await;
    handle.as_str().expect("a text").to_owned()
}

/// Presses Tab until the focus is on an element, which has to be outlined on each on the way.
async fn tab_to(browser: &Browser, selector: &str) {
    for _ in 0..80 {
        browser.press(Key::Tab).await;
        let outlined = "(() => { const focused = document.activeElement; \
            const style = getComputedStyle(focused.closest('label') ?? focused); \
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; })()";
        let focused = browser.value("document.activeElement.outerHTML").await;
        assert_eq!(browser.value(outlined).await, true, "no outline: {focused}");
        if browser.value(&format!("document.activeElement.matches('{selector}')")).await == true {
            return;
        }
    }
    panic!("{selector} cannot be reached by Tab");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    let scene = Scene::start().await;
    scene.services[0].until_hit(BUY).await;
    let browser = opened(&scene).await;
    browser.type_text("/").await;
    assert_eq!(focused(&browser).await, "filter");
    browser.type_text("area").await;
    browser.until("document.querySelectorAll('[data-test=prefix-row]').length === 1").await;
    tab_to(&browser, &button("areas", "clear")).await;
    browser.press(Key::Enter).await;
    browser.until_shown("[data-test=dialog]").await;
    assert_eq!(focused(&browser).await, "dialog-reason");
    // A dialog that is left changes nothing, and gives the focus back.
    browser.press(Key::Escape).await;
    browser.until_gone("[data-test=dialog]").await;
    assert_eq!(focused(&browser).await, "clear-prefix");
    assert!(scene.services[0].call(BUY).is("hit"));
    browser.press(Key::Enter).await;
    browser.until_shown("[data-test=dialog]").await;
    browser.type_text("by hand").await;
    browser.press(Key::Enter).await;
    browser.until_gone("[data-test=dialog]").await;
    assert_eq!(focused(&browser).await, "clear-prefix");
    assert!(scene.services[0].call(BUY).is("computed"));
    browser
        .until("document.querySelector('[data-test=audit-item]')?.innerText.includes('by hand')")
        .await;
    assert_eq!(focused(&browser).await, "clear-prefix");
    browser.close().await;
}

/// How far the document is wider than a window of 375 pixels, and the window than it should be.
async fn too_wide(browser: &Browser) -> (f64, f64) {
    let wide = browser
        .value("[document.documentElement.scrollWidth - innerWidth, innerWidth - 375]")
        .await;
    (wide[0].as_f64().expect("a number"), wide[1].as_f64().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fits_a_phone_in_the_dark_and_stands_still_where_that_is_wanted() {
    let mut scene = Scene::start().await;
    scene.services[0].until_hit(BUY).await;
    let browser = opened(&scene).await;
    browser.window(375, 812).await;
    browser.until("innerWidth < 400").await;
    browser.until_shown("[data-prefix=areas]").await;
    assert_eq!(too_wide(&browser).await, (0.0, 0.0));
    browser.click("[data-prefix=areas] [data-test=prefix-detail]").await;
    browser.until_shown("[data-test=function]").await;
    assert_eq!(too_wide(&browser).await, (0.0, 0.0), "with a row that is open");
    browser.click("[data-test=switch-all]").await;
    browser.until_shown("[data-test=dialog]").await;
    assert_eq!(too_wide(&browser).await, (0.0, 0.0), "with a dialog");
    let inside = "(() => { const box = document.querySelector('[data-test=dialog]').getBoundingClientRect(); \
        return box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight; })()";
    assert_eq!(browser.value(inside).await, true);
    browser.press(Key::Escape).await;

    let ground = "getComputedStyle(document.body).backgroundColor";
    let colour = "getComputedStyle(document.querySelector('[data-test=status]')).color";
    assert_eq!(browser.value(ground).await, "rgb(246, 247, 248)");
    browser.prefer(&[("prefers-color-scheme", "dark")]).await;
    assert_eq!(browser.value(ground).await, "rgb(17, 20, 23)");
    assert_eq!(browser.value(colour).await, "rgb(230, 233, 236)");

    let moves = "document.getAnimations().length + [...document.querySelectorAll('*')] \
        .filter((element) => getComputedStyle(element).transitionDuration !== '0s').length";
    // A bar of the test's own: without load there is none.
    let bar = "(() => { const bar = document.createElement('span'); bar.className = 'bar'; \
        document.querySelector('[data-test=rank-saved]').append(bar); \
        const time = getComputedStyle(bar).transitionDuration; bar.remove(); return time; })()";
    assert_eq!(browser.value(bar).await, "0.4s");
    browser.prefer(&[("prefers-reduced-motion", "reduce")]).await;
    assert_eq!(browser.value(bar).await, "0s");
    assert_eq!(browser.value(moves).await, 0);

    scene.redis.kill();
    browser.until_shown("[data-test=outage]").await;
    assert_eq!(too_wide(&browser).await, (0.0, 0.0), "during an outage");
    browser.close().await;
}

/// How long there is load before pictures are taken, in seconds. `scripts/pictures` sets it, so that the
/// charts of the documentation have lines.
const SECONDS: &str = "PAGE_PICTURES_SECONDS";

/// Charts are drawn anew 150 ms after the window has another size.
const DRAWN: Duration = Duration::from_millis(300);

/// Writes a picture of the window into `page-pictures` in the target folder.
async fn keep(browser: &Browser, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("page-pictures");
    std::fs::create_dir_all(&folder).expect("a folder");
    let picture = browser.picture().await;
    assert!(picture.starts_with(b"\x89PNG"), "{name}");
    std::fs::write(folder.join(name), picture).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_has_a_picture() {
    let seconds = std::env::var(SECONDS).ok().map(|text| text.parse().expect(SECONDS));
    let third = Duration::from_secs(seconds.unwrap_or(12)) / 3;
    let mut scene = Scene::start_with(20_000, &[], &[("CACHE_BUDGET_MS", "100")]).await;
    let load = scene.load(2, PAUSE);
    tokio::time::sleep(third).await;
    let rush = scene.load(2, PAUSE);
    tokio::time::sleep(third).await;
    assert!(rush.end() > 0);
    tokio::time::sleep(third).await;
    let browser = opened(&scene).await;
    browser.window(1360, 1080).await;
    browser.until("document.querySelectorAll('[data-test=process-row]').length === 2").await;
    browser
        .until("parseFloat(document.querySelector('[data-test=stat-runs] .figure').innerText) > 0")
        .await;
    keep(&browser, "page.png").await;
    browser.window(1360, 2400).await;
    tokio::time::sleep(DRAWN).await;
    keep(&browser, "page-whole.png").await;
    browser.window(1360, 1080).await;
    browser.prefer(&[("prefers-color-scheme", "dark")]).await;
    keep(&browser, "page-dark.png").await;
    browser.window(375, 1080).await;
    browser.until("innerWidth < 400").await;
    tokio::time::sleep(DRAWN).await;
    keep(&browser, "page-phone.png").await;
    browser.prefer(&[]).await;
    browser.window(1360, 1080).await;
    browser.click(&button("valuation", "switch")).await;
    browser.until_shown("[data-test=dialog]").await;
    browser.type_text("the model of prices is being replaced").await;
    keep(&browser, "page-dialog.png").await;
    browser.click("[data-test=dialog-submit]").await;
    browser.until_shown("[data-test=switched-off]").await;
    browser.click("[data-test=notice] button").await;
    browser.script("scrollTo(0, 0)").await;
    keep(&browser, "page-off.png").await;
    switch_on(&browser).await;
    browser.click("[data-test=notice] button").await;
    scene.redis.kill();
    browser.until_shown("[data-test=outage]").await;
    if seconds.is_some() {
        tokio::time::sleep(Duration::from_secs(25)).await; // so that there are figures of it
    }
    keep(&browser, "page-outage.png").await;
    assert!(load.end() > 0);
    browser.close().await;
}
