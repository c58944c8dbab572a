// The style sheet of a report writes its colours as variables. Dark mode changes those alone, and only on a
// screen: paper stays white.
#pragma once

#include <string_view>

namespace hearth::report {

inline constexpr std::string_view page_style = R"css(
:root{--page:#f7f7f5;--surface:#fff;--ink:#1c2024;--muted:#5b636d;--grid:#e9ebed;--line:#c3c8ce;--border:#e1e3e6;
--edge:#8b949e;--shadow:#0000001f;--bar:#9db4c4;--accent:#00649c;--warn:#8a4b00;--warn-surface:#fff5e5;--warn-border:#f0c27b;
--series-0:#0072b2;--series-1:#d55e00;--series-2:#00866a;--series-3:#a8478a;--series-4:#a87900;--series-5:#3d9bd6;
--series-6:#5b5b5b;--series-7:#7a3e9d;color-scheme:light}
@media screen and (prefers-color-scheme:dark){:root{--page:#131619;--surface:#1b1f23;--ink:#e7e9ec;--muted:#9ba4ae;
--grid:#2b3036;--line:#474e56;--border:#2e343a;--edge:#78818b;--shadow:#0000007a;--bar:#4b6476;--accent:#6bbcf0;--warn:#f3c583;
--warn-surface:#2c2416;--warn-border:#6b5123;--series-0:#5bb4ea;--series-1:#ff9248;--series-2:#3cc9a0;--series-3:#e79bc8;
--series-4:#e8c547;--series-5:#a5d8fa;--series-6:#b5b5b5;--series-7:#bda3ee;color-scheme:dark}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,
'Helvetica Neue',Arial,sans-serif}
main,header.top,footer,nav>div{max-width:1180px;margin:0 auto;padding:0 28px}
header.top{padding-top:44px;padding-bottom:20px}
h1{font-size:32px;line-height:1.2;letter-spacing:-.015em;font-weight:680;margin:0;overflow-wrap:anywhere}
.subtitle{font-size:17px;color:var(--muted);margin:8px 0 0;max-width:72ch}
h2{font-size:22px;letter-spacing:-.01em;font-weight:650;margin:0 0 4px;scroll-margin-top:60px}
h3{font-size:15px;font-weight:600;margin:24px 0 8px}
p{margin:0 0 14px;max-width:72ch}
section{padding:38px 0 6px}
section>.introduction{color:var(--muted);margin-bottom:16px}
a{color:var(--accent)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:14px 28px;margin:26px 0 0}
.facts div{min-width:0}
.facts dt{font-size:13px;color:var(--muted)}
.facts dd{margin:0;font-weight:500;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.highlights{display:grid;grid-template-columns:repeat(auto-fit,minmax(230px,1fr));gap:1px;background:var(--surface);
border:1px solid var(--border);border-radius:10px;overflow:hidden;margin:28px 0 4px}
.highlights>div{outline:1px solid var(--border);padding:16px 20px}
.highlights .label{font-size:14px;color:var(--muted)}
.highlights .value{font-size:28px;line-height:1.35;white-space:nowrap;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.highlights .detail{font-size:13px;color:var(--muted)}
.warning,.note{border:1px solid var(--border);background:var(--surface);border-radius:8px;padding:11px 16px;margin:12px 0;
overflow-wrap:anywhere}
.warning{border-color:var(--warn-border);background:var(--warn-surface);color:var(--warn)}
.warning strong{margin-right:6px}
nav{position:sticky;top:0;z-index:1;background:var(--page);border-bottom:1px solid var(--border)}
nav>div{display:flex;gap:22px;overflow-x:auto;white-space:nowrap;scrollbar-width:none}
nav a{color:var(--muted);text-decoration:none;font-size:14px;padding:10px 0}
nav a:hover{color:var(--ink)}
.scroll{overflow-x:auto;background:linear-gradient(90deg,var(--surface) 30%,transparent) 0/40px 100% no-repeat local,
linear-gradient(270deg,var(--surface) 30%,transparent) 100%/40px 100% no-repeat local,
linear-gradient(90deg,var(--shadow),transparent) 0/12px 100% no-repeat scroll,
linear-gradient(270deg,var(--shadow),transparent) 100%/12px 100% no-repeat scroll}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.card,.charts>div{background:var(--surface);border:1px solid var(--border);border-radius:10px;padding:18px 20px;margin:14px 0}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px;margin:14px 0}
.charts>div{margin:0;min-width:0}
.card.plan{width:fit-content;min-width:100%;max-width:calc(100vw - 48px);position:relative;left:50%;transform:translateX(-50%)}
.charts>div:only-child{max-width:620px}
svg text{font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-size:15px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;font-size:13.5px;color:var(--muted);border-bottom:1px solid var(--line);vertical-align:bottom;
white-space:nowrap}
th,td{padding:8px 14px}
th:first-child,td:first-child{padding-left:2px}
th:last-child,td:last-child{padding-right:2px}
td{border-bottom:1px solid var(--grid);vertical-align:top}
tbody tr:last-child td{border-bottom:0}
td.right{white-space:nowrap}
td:first-child{min-width:9em}
.right{text-align:right}.center{text-align:center}
figure{margin:0}
.grid{display:grid;grid-template-columns:repeat(var(--columns),minmax(92px,224px));gap:8px;align-items:center}
.grid.labelled{grid-template-columns:minmax(84px,140px) repeat(var(--columns),minmax(92px,224px))}
.grid.labelled .head:first-child{grid-column:2}
.grid .head{font-size:13.5px;font-weight:600;align-self:end;overflow-wrap:anywhere}
.grid .row-label{font-size:13.5px;color:var(--muted);overflow-wrap:anywhere}
.grid img{display:block;width:100%;height:auto;border-radius:3px;background:#000}
figcaption{font-size:13.5px;color:var(--muted);margin-top:12px;max-width:80ch}
figcaption:empty{display:none}
.scale{display:flex;align-items:center;gap:10px;margin-bottom:6px}
.scale i{width:120px;height:10px;border-radius:2px;border:1px solid var(--border);flex:none}
details{background:var(--surface);border:1px solid var(--border);border-radius:8px;margin:12px 0}
summary{cursor:pointer;padding:10px 16px;font-weight:600;font-size:15px}
summary small{font-weight:400;color:var(--muted);margin-left:8px}
pre{margin:0;padding:12px 16px;border-top:1px solid var(--grid);overflow-x:auto;
font:13px/1.55 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace;tab-size:4}
footer{color:var(--muted);font-size:13.5px;padding-top:32px;padding-bottom:48px}
@media (max-width:640px){main,header.top,footer,nav>div{padding-left:16px;padding-right:16px}
header.top{padding-top:26px}h1{font-size:25px}h2{font-size:20px}section{padding-top:28px}
.card,.charts>div{padding:14px 12px}.facts{grid-template-columns:1fr 1fr;gap:12px 16px}
.highlights{grid-template-columns:1fr 1fr}.highlights>div{padding:12px 14px}
.highlights>div:last-child:nth-child(odd){grid-column:1/-1}.highlights .value{font-size:22px}
th,td{padding:8px 10px}
.grid.labelled{grid-template-columns:repeat(var(--columns),minmax(72px,1fr))}
.grid.labelled .head:first-child{grid-column:auto}.grid .row-label{grid-column:1/-1;margin-top:6px}
.grid{grid-template-columns:repeat(var(--columns),minmax(72px,1fr))}}
@media print{body{background:#fff;font-size:11pt}nav{display:none}section{padding-top:18px}
main,header.top,footer{max-width:none;padding-left:0;padding-right:0}
.card,.charts>div,.highlights,tr,figure{break-inside:avoid}h2,h3{break-after:avoid}
.scroll{overflow:visible;background:none}.scroll svg{max-width:100%}.card.plan{max-width:100%}pre{white-space:pre-wrap;overflow-wrap:anywhere}
.charts{grid-template-columns:1fr 1fr}}
)css";

}  // namespace hearth::report
