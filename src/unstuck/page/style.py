"""The page's style: light and dark by the reader's system, and for paper."""

STYLE = """
:root{--back:#fff;--text:#1c2330;--soft:#5c6675;--line:#d9dee6;--panel:#f6f7f9;--good:#2a7f62;--bad:#c22f3d;
--unsure:#b7791f;--bad-back:#fdeced;--good-back:#e9f5f0;--unsure-back:#fdf4e3;--track:#e8ebf0;
--a0:#3b6fb6;--a1:#e0a52e;--a2:#5aa469;--a3:#9a6bb4;--a4:#d97757;--a5:#3aa6a6;--a6:#8a8f99}
@media (prefers-color-scheme:dark){:root{--back:#14181f;--text:#e6e9ee;--soft:#9aa4b2;--line:#323a46;--panel:#1c222b;
--good:#55b893;--bad:#f0707c;--unsure:#e0ac55;--bad-back:#3a1f25;--good-back:#1a322a;--unsure-back:#362b18;
--track:#2a313c;--a0:#6b9be0;--a1:#e8bb5c;--a2:#7cc48b;--a3:#b993d1;--a4:#e89a7f;--a5:#63c3c3;--a6:#a3a9b4}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:860px;padding:24px 20px 48px;background:var(--back);color:var(--text);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
header{border:1px solid var(--line);border-left:6px solid var(--good);border-radius:6px;padding:14px 20px;
background:var(--good-back)}
header.faulty{border-left-color:var(--bad);background:var(--bad-back)}
h1{font-size:13px;font-weight:600;margin:0;color:var(--soft);letter-spacing:.06em;text-transform:uppercase}
.verdict{font-size:25px;font-weight:700;line-height:1.25;margin:4px 0 6px;color:var(--good)}
.faulty .verdict{color:var(--bad)}
.meaning{color:var(--soft);margin:0 0 8px}
h2{font-size:18px;margin:32px 0 8px}
h3{font-size:15px;margin:0 0 4px}
p{margin:6px 0;overflow-wrap:anywhere}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:12px 14px;overflow-x:auto}
pre code{overflow-wrap:normal}
dl{display:flex;flex-wrap:wrap;gap:4px 28px;margin:10px 0 0}
dl div{display:flex;gap:8px;max-width:100%}
dt{color:var(--soft)}
dd{margin:0;min-width:0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-top:1px solid var(--line);
overflow-wrap:anywhere;font-weight:400}
th{color:var(--soft);width:38%}
tr:first-child>*{border-top:0}
figure{margin:0;border:1px solid var(--line);border-radius:6px;padding:14px 14px 8px}
figcaption{color:var(--soft);font-size:13px;margin-top:6px}
article,details{border:1px solid var(--line);border-radius:6px;padding:10px 14px;margin:8px 0}
article{border-left:4px solid var(--unsure)}
article details{border:0;padding:4px 0 0;margin:0}
summary{cursor:pointer}
footer{margin-top:40px;color:var(--soft);font-size:13px}
svg{display:block;width:100%;min-width:560px;height:auto;font:13px system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif}
svg text{fill:var(--text)}
svg .small{font-size:11.5px;fill:var(--soft)}
svg .strong{font-weight:600}
svg .fault-text{fill:var(--bad);font-weight:600}
svg .box{fill:var(--panel);stroke:var(--line);stroke-width:1.5}
svg .fine{stroke:var(--good);fill:var(--good-back)}
svg .partly{stroke:var(--good);stroke-dasharray:5 3}
svg .untested{stroke:var(--soft);stroke-dasharray:2 4}
svg .suspect{stroke:var(--unsure);fill:var(--unsure-back)}
svg .fault{stroke:var(--bad);fill:var(--panel)}
svg .root{stroke:var(--bad);stroke-width:3;fill:var(--bad-back)}
svg .arrow,svg .cross{fill:none;stroke:var(--bad);stroke-width:2;stroke-linecap:round}
svg .strand{fill:none;stroke:var(--a0);stroke-width:2;stroke-linecap:round}
svg .strand.wrong{stroke:var(--bad);stroke-dasharray:3 3}
svg .strand.dead{stroke:var(--bad);stroke-width:3}
svg .track{fill:var(--track)}
svg .good{fill:var(--good)}
svg .bad{fill:var(--bad)}
svg .unsure{fill:var(--unsure)}
svg .dot{stroke:var(--back);stroke-width:.7}
svg .diagonal{fill:none;stroke:var(--soft);stroke-dasharray:4 4}
svg .failed{fill:var(--track)}
svg .band-known{fill:var(--a0)}
svg .bad-text{fill:var(--bad)}
svg .answer-0{fill:var(--a0)}svg .answer-1{fill:var(--a1)}svg .answer-2{fill:var(--a2)}svg .answer-3{fill:var(--a3)}
svg .answer-4{fill:var(--a4)}svg .answer-5{fill:var(--a5)}svg .answer-6{fill:var(--a6)}
svg .grid{fill:none;stroke:var(--line)}
svg .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
svg .line-0{stroke:var(--a0)}svg .line-1{stroke:var(--a1)}svg .line-2{stroke:var(--a2)}svg .line-3{stroke:var(--a3)}
svg .line-4{stroke:var(--a4)}svg .line-5{stroke:var(--a5)}svg .line-6{stroke:var(--a6)}
figure,.wide{overflow-x:auto;background:linear-gradient(var(--back),var(--back)) left/16px 100% no-repeat local,
linear-gradient(var(--back),var(--back)) right/16px 100% no-repeat local,
linear-gradient(90deg,var(--line),transparent) left/16px 100% no-repeat,
linear-gradient(270deg,var(--line),transparent) right/16px 100% no-repeat}
table.columns th,table.columns td{width:auto;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
table.columns th:first-child,table.columns td:first-child{text-align:left}
@media print{body{max-width:none;padding:0;font-size:11pt}section,figure,article,tr{break-inside:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""".replace("\n", "")
