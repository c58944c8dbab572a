// Writes tables, data: URIs, heat maps and grids of images.
#include "report/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgcodecs.hpp>

#include "hearth/error.hpp"

namespace hearth::report {
namespace {

/// Inferno of matplotlib at nine places, RGB; linear in between.
constexpr std::array<std::array<double, 3>, 9> inferno{{{0, 0, 4},
                                                        {31, 12, 72},
                                                        {85, 15, 109},
                                                        {136, 34, 106},
                                                        {186, 54, 85},
                                                        {227, 89, 51},
                                                        {249, 140, 10},
                                                        {249, 201, 50},
                                                        {252, 255, 164}}};

cv::Vec3b heat_colour(double value) {
    const double place = std::clamp(value, 0.0, 1.0) * (inferno.size() - 1);
    const auto below = std::min(static_cast<std::size_t>(place), inferno.size() - 2);
    const double part = place - static_cast<double>(below);
    cv::Vec3b bgr;
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const double mixed = inferno[below][channel] * (1 - part) + inferno[below + 1][channel] * part;
        bgr[2 - static_cast<int>(channel)] = cv::saturate_cast<std::uint8_t>(mixed);
    }
    return bgr;
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string result;
    result.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t word = 0;
        for (std::size_t k = 0; k < 3; ++k) word = (word << 8) | (k < left ? bytes[i + k] : 0u);
        for (std::size_t k = 0; k < 4; ++k) result += k <= left ? digits[(word >> (18 - 6 * k)) & 63u] : '=';
    }
    return result;
}

float finite(float value) {
    return std::isfinite(value) ? std::clamp(value, 0.0f, 1.0f) : 0.0f;
}

cv::Mat to_8_bit(const cv::Mat& image) {
    if (image.type() == CV_8UC1 || image.type() == CV_8UC3) return image;
    if (image.type() != CV_32FC1) {
        throw Error(ExitCode::internal,
                    fmt::format("report image: found OpenCV type {} with {} channels, expected 8-bit grey or "
                                "BGR, or 32-bit float grey in [0, 1]",
                                image.type(), image.channels()));
    }
    cv::Mat result(image.size(), CV_8UC1);
    result.forEach<std::uint8_t>([&](std::uint8_t& pixel, const int* at) {
        pixel = cv::saturate_cast<std::uint8_t>(255 * finite(image.at<float>(at[0], at[1])));
    });
    return result;
}

void expect_float(const cv::Mat& values) {
    if (values.type() != CV_32FC1) {
        throw Error(
            ExitCode::internal,
            fmt::format("heat map: found OpenCV type {}, expected 32-bit float grey in [0, 1]", values.type()));
    }
}

const char* align_class(Align align) {
    return align == Align::right ? " class=\"right\"" : align == Align::center ? " class=\"center\"" : "";
}

}  // namespace

std::string html_table(const Table& table) {
    const std::size_t columns = column_count(table);
    std::string html = "<figure><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>";
    for (std::size_t c = 0; c < columns; ++c) {
        html += fmt::format("<th scope=\"col\"{}>{}</th>", align_class(align_of(table, c)),
                            escape(cell(table.headers, c)));
    }
    html += "</tr></thead><tbody>";
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
        html += "<tr>";
        for (std::size_t c = 0; c < columns; ++c) {
            const auto text = escape(cell(table.rows[r], c));
            const bool stressed = is_emphasised(table, r, c);
            html += fmt::format("<td{}>{}{}{}</td>", align_class(align_of(table, c)),
                                stressed ? "<strong>" : "", text, stressed ? "</strong>" : "");
        }
        html += "</tr>";
    }
    return html + "</tbody></table></div><figcaption>" + escape(table.caption) + "</figcaption></figure>";
}

std::string data_uri(const cv::Mat& image) {
    std::vector<std::uint8_t> png;
    cv::imencode(".png", to_8_bit(image), png);
    return "data:image/png;base64," + base64(png);
}

cv::Mat heat_map(const cv::Mat& values) {
    expect_float(values);
    cv::Mat result(values.size(), CV_8UC3);
    result.forEach<cv::Vec3b>(
        [&](cv::Vec3b& pixel, const int* at) { pixel = heat_colour(finite(values.at<float>(at[0], at[1]))); });
    return result;
}

cv::Mat heat_overlay(const cv::Mat& grey, const cv::Mat& values, double strength) {
    expect_float(values);
    const cv::Mat base = to_8_bit(grey);
    if (base.type() != CV_8UC1 || base.size() != values.size()) {
        throw Error(ExitCode::internal,
                    fmt::format("heat overlay: found a {} x {} image and {} x {} values, expected a grey image "
                                "of the size of the values",
                                base.rows, base.cols, values.rows, values.cols));
    }
    cv::Mat result(base.size(), CV_8UC3);
    result.forEach<cv::Vec3b>([&](cv::Vec3b& pixel, const int* at) {
        const double value = finite(values.at<float>(at[0], at[1]));
        const double opacity = strength * std::min(1.0, 2 * value);
        const auto colour = heat_colour(value);
        for (int channel = 0; channel < 3; ++channel) {
            pixel[channel] = cv::saturate_cast<std::uint8_t>(
                opacity * colour[channel] + (1 - opacity) * base.at<std::uint8_t>(at[0], at[1]));
        }
    });
    return result;
}

std::string heat_gradient() {
    std::string result = "linear-gradient(to right";
    for (const auto& colour : inferno) result += fmt::format(",rgb({} {} {})", colour[0], colour[1], colour[2]);
    return result + ")";
}

std::string figure_grid(const FigureGrid& figure) {
    std::size_t columns = figure.columns.size();
    for (const auto& row : figure.rows) columns = std::max(columns, row.images.size());
    const bool labelled = std::ranges::any_of(figure.rows, [](const auto& row) { return !row.label.empty(); });
    std::string html = fmt::format(
        "<figure><div class=\"scroll\" tabindex=\"0\"><div class=\"grid{}\" style=\"--columns:{}\">",
        labelled ? " labelled" : "", columns);
    for (std::size_t c = 0; c < columns && !figure.columns.empty(); ++c) {
        html += "<div class=\"head\">" + escape(cell(figure.columns, c)) + "</div>";
    }
    for (const auto& row : figure.rows) {
        if (labelled) html += "<div class=\"row-label\">" + escape(row.label) + "</div>";
        for (std::size_t c = 0; c < columns; ++c) {
            if (c >= row.images.size() || row.images[c].empty()) {
                html += "<div></div>";
                continue;
            }
            const auto& name = cell(figure.columns, c);
            html += fmt::format("<img alt=\"{}\" src=\"{}\" width=\"{}\" height=\"{}\">",
                                escape(row.label + (row.label.empty() || name.empty() ? "" : ", ") + name),
                                data_uri(row.images[c]), row.images[c].cols, row.images[c].rows);
        }
    }
    html += "</div></div><figcaption>";
    if (!figure.heat_scale.empty()) {
        html += fmt::format("<span class=\"scale\"><i style=\"background:{}\"></i>{}</span>", heat_gradient(),
                            escape(figure.heat_scale));
    }
    return html + escape(figure.caption) + "</figcaption></figure>";
}

}  // namespace hearth::report
