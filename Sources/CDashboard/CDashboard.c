/* A new file in dashboard/ is entered here twice; a test compares the two. The compiler notes what it embeds, so a change
 * in one of them is a reason to build. */
#include "CDashboard.h"

/* #embed is C23's, and the compiler has it for every C. */
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char actions_js[] = {
#embed "../../dashboard/actions.js"
};
static const unsigned char api_js[] = {
#embed "../../dashboard/api.js"
};
static const unsigned char app_js[] = {
#embed "../../dashboard/app.js"
};
static const unsigned char chart_js[] = {
#embed "../../dashboard/chart.js"
};
static const unsigned char clock_js[] = {
#embed "../../dashboard/clock.js"
};
static const unsigned char connection_js[] = {
#embed "../../dashboard/connection.js"
};
static const unsigned char dom_js[] = {
#embed "../../dashboard/dom.js"
};
static const unsigned char event_panel_js[] = {
#embed "../../dashboard/event-panel.js"
};
static const unsigned char feed_js[] = {
#embed "../../dashboard/feed.js"
};
static const unsigned char filters_js[] = {
#embed "../../dashboard/filters.js"
};
static const unsigned char format_js[] = {
#embed "../../dashboard/format.js"
};
static const unsigned char history_js[] = {
#embed "../../dashboard/history.js"
};
static const unsigned char icon_svg[] = {
#embed "../../dashboard/icon.svg"
};
static const unsigned char index_html[] = {
#embed "../../dashboard/index.html"
};
static const unsigned char keys_js[] = {
#embed "../../dashboard/keys.js"
};
static const unsigned char links_js[] = {
#embed "../../dashboard/links.js"
};
static const unsigned char pace_js[] = {
#embed "../../dashboard/pace.js"
};
static const unsigned char paging_js[] = {
#embed "../../dashboard/paging.js"
};
static const unsigned char parts_css[] = {
#embed "../../dashboard/parts.css"
};
static const unsigned char parts_js[] = {
#embed "../../dashboard/parts.js"
};
static const unsigned char router_js[] = {
#embed "../../dashboard/router.js"
};
static const unsigned char sentences_js[] = {
#embed "../../dashboard/sentences.js"
};
static const unsigned char shell_css[] = {
#embed "../../dashboard/shell.css"
};
static const unsigned char shell_js[] = {
#embed "../../dashboard/shell.js"
};
static const unsigned char stretch_js[] = {
#embed "../../dashboard/stretch.js"
};
static const unsigned char table_js[] = {
#embed "../../dashboard/table.js"
};
static const unsigned char theme_js[] = {
#embed "../../dashboard/theme.js"
};
static const unsigned char tokens_css[] = {
#embed "../../dashboard/tokens.css"
};
static const unsigned char view_agent_js[] = {
#embed "../../dashboard/view-agent.js"
};
static const unsigned char view_agents_js[] = {
#embed "../../dashboard/view-agents.js"
};
static const unsigned char view_election_js[] = {
#embed "../../dashboard/view-election.js"
};
static const unsigned char view_elections_js[] = {
#embed "../../dashboard/view-elections.js"
};
static const unsigned char view_lease_js[] = {
#embed "../../dashboard/view-lease.js"
};
static const unsigned char view_leases_js[] = {
#embed "../../dashboard/view-leases.js"
};
static const unsigned char view_log_js[] = {
#embed "../../dashboard/view-log.js"
};
static const unsigned char view_overview_js[] = {
#embed "../../dashboard/view-overview.js"
};
static const unsigned char view_policies_js[] = {
#embed "../../dashboard/view-policies.js"
};
static const unsigned char view_policy_js[] = {
#embed "../../dashboard/view-policy.js"
};
static const unsigned char view_task_js[] = {
#embed "../../dashboard/view-task.js"
};
static const unsigned char view_tasks_js[] = {
#embed "../../dashboard/view-tasks.js"
};
static const unsigned char view_unknown_js[] = {
#embed "../../dashboard/view-unknown.js"
};
static const unsigned char view_watchers_js[] = {
#embed "../../dashboard/view-watchers.js"
};
static const unsigned char views_css[] = {
#embed "../../dashboard/views.css"
};

#define HTML "text/html; charset=utf-8"
#define CSS "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define IMAGE "image/svg+xml"
#define FILE_ENTRY(name, type, bytes) {name, type, bytes, sizeof bytes}

static const struct cdashboard_file files[] = {
    FILE_ENTRY("actions.js", SCRIPT, actions_js),
    FILE_ENTRY("api.js", SCRIPT, api_js),
    FILE_ENTRY("app.js", SCRIPT, app_js),
    FILE_ENTRY("chart.js", SCRIPT, chart_js),
    FILE_ENTRY("clock.js", SCRIPT, clock_js),
    FILE_ENTRY("connection.js", SCRIPT, connection_js),
    FILE_ENTRY("dom.js", SCRIPT, dom_js),
    FILE_ENTRY("event-panel.js", SCRIPT, event_panel_js),
    FILE_ENTRY("feed.js", SCRIPT, feed_js),
    FILE_ENTRY("filters.js", SCRIPT, filters_js),
    FILE_ENTRY("format.js", SCRIPT, format_js),
    FILE_ENTRY("history.js", SCRIPT, history_js),
    FILE_ENTRY("icon.svg", IMAGE, icon_svg),
    FILE_ENTRY("index.html", HTML, index_html),
    FILE_ENTRY("keys.js", SCRIPT, keys_js),
    FILE_ENTRY("links.js", SCRIPT, links_js),
    FILE_ENTRY("pace.js", SCRIPT, pace_js),
    FILE_ENTRY("paging.js", SCRIPT, paging_js),
    FILE_ENTRY("parts.css", CSS, parts_css),
    FILE_ENTRY("parts.js", SCRIPT, parts_js),
    FILE_ENTRY("router.js", SCRIPT, router_js),
    FILE_ENTRY("sentences.js", SCRIPT, sentences_js),
    FILE_ENTRY("shell.css", CSS, shell_css),
    FILE_ENTRY("shell.js", SCRIPT, shell_js),
    FILE_ENTRY("stretch.js", SCRIPT, stretch_js),
    FILE_ENTRY("table.js", SCRIPT, table_js),
    FILE_ENTRY("theme.js", SCRIPT, theme_js),
    FILE_ENTRY("tokens.css", CSS, tokens_css),
    FILE_ENTRY("view-agent.js", SCRIPT, view_agent_js),
    FILE_ENTRY("view-agents.js", SCRIPT, view_agents_js),
    FILE_ENTRY("view-election.js", SCRIPT, view_election_js),
    FILE_ENTRY("view-elections.js", SCRIPT, view_elections_js),
    FILE_ENTRY("view-lease.js", SCRIPT, view_lease_js),
    FILE_ENTRY("view-leases.js", SCRIPT, view_leases_js),
    FILE_ENTRY("view-log.js", SCRIPT, view_log_js),
    FILE_ENTRY("view-overview.js", SCRIPT, view_overview_js),
    FILE_ENTRY("view-policies.js", SCRIPT, view_policies_js),
    FILE_ENTRY("view-policy.js", SCRIPT, view_policy_js),
    FILE_ENTRY("view-task.js", SCRIPT, view_task_js),
    FILE_ENTRY("view-tasks.js", SCRIPT, view_tasks_js),
    FILE_ENTRY("view-unknown.js", SCRIPT, view_unknown_js),
    FILE_ENTRY("view-watchers.js", SCRIPT, view_watchers_js),
    FILE_ENTRY("views.css", CSS, views_css),
};

const struct cdashboard_file *const cdashboard_files = files;
const size_t cdashboard_count = sizeof files / sizeof files[0];
