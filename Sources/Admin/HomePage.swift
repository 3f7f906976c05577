// The page at `/`: what this port is, for somebody who opens it in a browser. Static, without scripts.
// The style sheet is a path of its own, so that the security policy can forbid inline styles.

/// - Parameters:
///   - version: of the program.
///   - rpcAddress: where the calls are served.
package func homePage(version: String, rpcAddress: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>AgentKeeper</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/style.css">
    </head>
    <body>
    <main>
    <header>
    <h1>AgentKeeper</h1>
    <p class="version">\(escapedHTML(version))</p>
    </header>
    <p>A coordination daemon for AI agents: they register and find each other, hold leases with fencing
    tokens, elect leaders, are checked against policies, share a queue of tasks, and watch all of it happen.</p>
    <p>Agents call it over gRPC at <code>\(escapedHTML(rpcAddress))</code>. This port is for people and
    their tools.</p>
    <nav aria-label="Endpoints">
    <dl>
    <dt><a href="/healthz">/healthz</a></dt>
    <dd>Says <code>ok</code> while the process lives.</dd>
    <dt><a href="/readyz">/readyz</a></dt>
    <dd>Says <code>ready</code> while calls are served, and 503 otherwise.</dd>
    <dt><a href="/metrics">/metrics</a></dt>
    <dd>Everything that is counted, for Prometheus.</dd>
    </dl>
    </nav>
    </main>
    </body>
    </html>

    """
}

let homePageStyle = """
    :root {
      color-scheme: light dark;
      --ink: #1c2330; --soft: #5a6577; --paper: #f6f7f9; --card: #fff; --line: #dde2ea; --link: #0b57b0;
    }
    @media (prefers-color-scheme: dark) {
      :root { --ink: #e6e9ef; --soft: #9aa5b8; --paper: #12151b; --card: #1a1f28; --line: #2c3442; --link: #7fb4ff; }
    }
    * { box-sizing: border-box; }
    body {
      margin: 0; padding: clamp(1rem, 6vw, 5rem) 1rem; background: var(--paper); color: var(--ink);
      font: 1rem/1.6 system-ui, sans-serif;
    }
    main { max-width: 42rem; margin: 0 auto; }
    header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .75rem; }
    h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; }
    .version { margin: 0; color: var(--soft); font-variant-numeric: tabular-nums; }
    dl { margin: 2rem 0 0; padding: .25rem 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
    dt { padding-top: .9rem; font: 600 1rem/1.4 ui-monospace, monospace; }
    dd { margin: 0; padding-bottom: .9rem; color: var(--soft); }
    dd:not(:last-child) { border-bottom: 1px solid var(--line); }
    code { font: .95em ui-monospace, monospace; }
    a { color: var(--link); text-underline-offset: .2em; }
    a:focus-visible { outline: 2px solid; outline-offset: 3px; border-radius: 2px; }

    """

private func escapedHTML(_ text: String) -> String {
    text.reduce(into: "") { result, character in
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        default: result.append(character)
        }
    }
}
