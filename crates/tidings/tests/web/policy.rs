//! The pages' policy, in the browser that has to keep it: a script that has got in tries what scripts like it try.

use crate::someone::{Someone, world};
use tidings_testbed::browser::Browser;

/// Each attempt, and the part of the policy that forbids it. What comes back is what nobody has kept from happening.
const ATTEMPTS: &str = "(async () => {
    const elsewhere = 'https://elsewhere.invalid/';
    const made = (name, set) => { const one = document.createElement(name); set(one); document.body.append(one); };
    const attempts = [
        ['a picture of elsewhere', 'img-src', () => { new Image().src = elsewhere; }],
        ['a picture in its own address', 'img-src', () => { new Image().src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw='; }],
        ['a request to elsewhere', 'connect-src', () => fetch(elsewhere)],
        ['a link to elsewhere', 'connect-src', () => new WebSocket('wss://elsewhere.invalid/')],
        ['a beacon', 'connect-src', () => navigator.sendBeacon(elsewhere, 'x')],
        ['a script of elsewhere', 'script-src-elem', () => import(elsewhere)],
        ['a script in its own address', 'script-src-elem', () => import('data:text/javascript,0')],
        ['markup', 'require-trusted-types-for', () => { document.createElement('div').innerHTML = '<b>x</b>'; }],
        ['a script as text', 'require-trusted-types-for', () => made('script', (one) => { one.text = '0'; })],
        ['text that is run', 'require-trusted-types-for', () => eval('0')],
        ['a Worker of its own', 'require-trusted-types-for', () => new Worker(URL.createObjectURL(new Blob(['0'])))],
        ['a policy of its own', 'trusted-types', () => trustedTypes.createPolicy('other', {})],
        ['a style in an attribute', 'style-src-attr', () => made('p', (one) => one.setAttribute('style', 'color: red'))],
        ['a style as text', 'style-src-elem', () => made('style', (one) => { one.textContent = 'p { color: red }'; })],
        ['a style of elsewhere', 'style-src-elem', () => made('link', (one) => { one.rel = 'stylesheet'; one.href = elsewhere; })],
        ['a font', 'font-src', () => new FontFace('x', `url(${elsewhere})`).load()],
        ['sound', 'media-src', () => new Audio(elsewhere).play()],
        ['a frame', 'frame-src', () => made('iframe', (one) => { one.src = elsewhere; })],
        ['a form to elsewhere', 'form-action', () => made('form', (one) => { one.action = elsewhere; document.body.append(one); one.submit(); })],
        ['another base', 'base-uri', () => made('base', (one) => { one.href = elsewhere; })],
    ];
    let seen = [];
    document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective));
    const turn = (time) => new Promise((done) => setTimeout(done, time));
    const passed = [];
    for (const [name, directive, attempt] of attempts) {
        seen = [];
        // What a debugger says may do more than a script; what comes later may not.
        await turn(0);
        try { await Promise.race([attempt(), turn(500)]); } catch { /* told by the event */ }
        for (let waited = 0; waited < 50 && !seen.includes(directive); waited += 1) await turn(20);
        if (!seen.includes(directive)) passed.push(`${name}: ${seen}`);
    }
    return passed;
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_got_in_can_load_run_and_send_nothing() {
    let world = world(&["s1"]).await;
    let browser = Browser::start().await;
    let alice = Someone::registers(&world, &browser, "alice@s1").await;
    alice.check();
    let passed = alice.page.run(ATTEMPTS).await;
    assert_eq!(passed, serde_json::json!([]), "{:?}", alice.page.complaints());
}
