"""The report page's style sheet: system fonts, light and dark, nothing fetched."""

STYLE = """
:root { --paper:#fbfbf9; --card:#fff; --ink:#1c2024; --soft:#5f6b76; --line:#e3e5e1; --blue:#2b6cb0;
  --pale:#e8eff7; --amber:#8a4b00; --amber-paper:#fff4e0; --amber-line:#f0c987; --green:#1f7a4d;
  --green-paper:#e9f6ee; --green-line:#b5dec6; --empty:#f1f2ef; }
@media (prefers-color-scheme: dark) { :root { --paper:#15181b; --card:#1d2125; --ink:#e8eaec;
  --soft:#9aa5b0; --line:#30363c; --blue:#6aa9e9; --pale:#22303f; --amber:#ffce80;
  --amber-paper:#33270f; --amber-line:#6b5220; --green:#7fd6a5; --green-paper:#12301f;
  --green-line:#27593d; --empty:#262b30; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; }
main { max-width:1120px; margin:0 auto; padding:36px 28px 60px; }
h1 { font-size:27px; line-height:1.25; margin:0 0 4px; letter-spacing:-.01em; }
h2 { font-size:18px; margin:38px 0 4px; }
p { margin:4px 0 12px; max-width:80ch; }
.soft { color:var(--soft); }
.small { font-size:13px; }
.banner { border:1px solid; border-radius:10px; padding:12px 16px; margin:18px 0; }
.banner b { display:block; }
.bad { background:var(--amber-paper); border-color:var(--amber-line); color:var(--amber); }
.good { background:var(--green-paper); border-color:var(--green-line); color:var(--green); }
.pill { display:inline-block; padding:1px 9px; border-radius:99px; font-size:12px; font-weight:600;
  border:1px solid var(--line); color:var(--soft); vertical-align:middle; white-space:nowrap; }
.pill.bad { color:var(--amber); border-color:var(--amber-line); }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(215px,1fr)); gap:14px; }
.card { background:var(--card); border:1px solid var(--line); border-radius:12px; padding:15px 17px; }
.card .name { color:var(--soft); font-size:13px; }
.card .value { font-size:32px; font-weight:650; line-height:1.2; letter-spacing:-.02em;
  font-variant-numeric:tabular-nums; }
.pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr)); gap:18px; }
.wide { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; }
th { text-align:left; font-weight:600; font-size:12.5px; color:var(--soft); }
th,td { padding:5px 12px 5px 0; border-bottom:1px solid var(--line); vertical-align:middle; }
th.n,td.n { text-align:right; }
tr:last-child td { border-bottom:0; }
dl { display:grid; grid-template-columns:max-content 1fr; gap:3px 18px; margin:8px 0; }
dt { color:var(--soft); } dd { margin:0; overflow-wrap:anywhere; }
code { font:12.5px/1.4 ui-monospace,"DejaVu Sans Mono",monospace; }
svg { display:block; max-width:100%; height:auto; } td svg { min-width:90px; }
svg text { fill:var(--ink); font-family:inherit; } svg text.soft { fill:var(--soft); }
footer { margin-top:40px; border-top:1px solid var(--line); padding-top:14px; }
@media print { main { padding:0; } body { font-size:12px; } .card { break-inside:avoid; }
  h2,h2+p { break-after:avoid; } .wide { overflow:visible; } }
"""
