// Writes the frame of a report and its parts in their order.
#include "report/page.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/page_style.hpp"

namespace hearth::report {
namespace {

std::string heading(const std::string& title) {
    return title.empty() ? "" : "<h3>" + escape(title) + "</h3>";
}
std::string card(const std::string& html) {
    return "<div class=\"card\">" + html + "</div>";
}

std::string warning(const std::string& text) {
    return "<div class=\"warning\" role=\"note\"><strong>Warning</strong>" + escape(text) + "</div>";
}

bool is_chart(const Content& content) {
    return std::holds_alternative<Chart>(content) || std::holds_alternative<BarChart>(content) ||
           std::holds_alternative<RocChart>(content) || std::holds_alternative<PrChart>(content) ||
           std::holds_alternative<ScatterChart>(content);
}

struct Writer {
    std::string operator()(const Table& table) const { return heading(table.title) + card(html_table(table)); }
    std::string operator()(const Chart& chart) const { return "<div>" + line_chart(chart) + "</div>"; }
    std::string operator()(const BarChart& chart) const { return "<div>" + bar_chart(chart) + "</div>"; }
    std::string operator()(const RocChart& chart) const { return "<div>" + roc_chart(chart) + "</div>"; }
    std::string operator()(const PrChart& chart) const { return "<div>" + pr_chart(chart) + "</div>"; }
    std::string operator()(const ScatterChart& chart) const {
        return "<div>" + scatter_chart(chart) + "</div>";
    }
    std::string operator()(const Plan& plan) const {
        const auto picture = plan_picture(plan.nodes, plan.edges);
        return heading(plan.title) + "<div class=\"card plan\"><div class=\"scroll\" tabindex=\"0\">" +
               picture + "</div></div>";
    }
    std::string operator()(const FigureGrid& figure) const {
        return heading(figure.title) + card(figure_grid(figure));
    }
    std::string operator()(const Pre& pre) const {
        const auto lines =
            std::ranges::count(pre.text, '\n') + (pre.text.ends_with('\n') || pre.text.empty() ? 0 : 1);
        return fmt::format("<details{}><summary>{}<small>{} {}</small></summary><pre>{}</pre></details>",
                           pre.open ? " open" : "", escape(pre.title), lines, lines == 1 ? "line" : "lines",
                           escape(pre.text));
    }
    std::string operator()(const Note& note) const {
        return note.warning ? warning(note.text) : "<div class=\"note\">" + escape(note.text) + "</div>";
    }
};

std::string section_html(const Section& section, std::size_t index) {
    auto html = fmt::format("<section><h2 id=\"s{}\">{}</h2>", index, escape(section.title));
    if (!section.introduction.empty())
        html += "<p class=\"introduction\">" + escape(section.introduction) + "</p>";
    bool in_charts = false;
    for (const auto& content : section.content) {
        if (is_chart(content) != in_charts) {
            html += in_charts ? "</div>" : "<div class=\"charts\">";
            in_charts = !in_charts;
        }
        html += std::visit(Writer{}, content);
    }
    return html + (in_charts ? "</div></section>" : "</section>");
}

std::string header_html(const Report& report) {
    auto html = "<header class=\"top\"><h1>" + escape(report.title) + "</h1>";
    if (!report.subtitle.empty()) html += "<p class=\"subtitle\">" + escape(report.subtitle) + "</p>";
    for (const auto& text : report.warnings) html += warning(text);
    if (!report.highlights.empty()) {
        html += "<div class=\"highlights\">";
        for (const auto& highlight : report.highlights) {
            html += fmt::format(
                "<div><div class=\"label\">{}</div><div class=\"value\">{}</div><div "
                "class=\"detail\">{}</div></div>",
                escape(highlight.label), escape(highlight.value), escape(highlight.detail));
        }
        html += "</div>";
    }
    for (const auto& strip : report.strips) html += card(figure_grid(strip));
    if (!report.facts.empty()) {
        html += "<dl class=\"facts\">";
        for (const auto& [name, value] : report.facts) {
            if (value.empty()) continue;
            html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
        }
        html += "</dl>";
    }
    return html + "</header>";
}

}  // namespace

std::string render(const Report& report) {
    // The policy makes a browser refuse scripts and requests even if a report came to hold some by mistake.
    auto html = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
        "'unsafe-inline'\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" "
        "href=\"data:,\">"
        "<title>{}</title><style>{}</style></head>\n<body>\n",
        escape(report.title), page_style);
    html += header_html(report);
    html += "\n<nav aria-label=\"Sections\"><div>";
    for (std::size_t i = 0; i < report.sections.size(); ++i) {
        html += fmt::format("<a href=\"#s{}\">{}</a>", i, escape(report.sections[i].title));
    }
    html += "</div></nav>\n<main>\n";
    for (std::size_t i = 0; i < report.sections.size(); ++i) html += section_html(report.sections[i], i) + "\n";
    html += "</main>\n<footer>" + escape(report.footer) + "</footer>\n</body></html>\n";
    return html;
}

}  // namespace hearth::report
