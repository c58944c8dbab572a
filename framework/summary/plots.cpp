#include "summary/plots.hpp"

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <hearth/error.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/atomic_file.hpp"
#include "base/folder.hpp"
#include "report/contact_sheet.hpp"

namespace hearth::summary {
namespace fs = std::filesystem;
namespace {

using base::make_folder;

cv::Mat to_8_bit(const cv::Mat& image) {
    if (image.depth() == CV_8U) return image;
    cv::Mat stored;
    image.convertTo(stored, CV_8U, 255);
    return stored;
}

void save_png(const fs::path& file, const cv::Mat& image) {
    std::vector<std::uint8_t> png;
    cv::imencode(".png", to_8_bit(image), png);
    base::write_atomically(file, std::string(png.begin(), png.end()));
}

}  // namespace

void save_svg(const fs::path& folder, const std::string& name, const std::string& svg) {
    make_folder(folder);
    base::write_atomically(folder / (name + ".svg"), report::standalone_svg(svg));
}

nlohmann::json save_grid(const fs::path& folder, const std::string& name, const report::FigureGrid& grid) {
    make_folder(folder);
    nlohmann::json rows = nlohmann::json::array();
    for (std::size_t r = 0; r < grid.rows.size(); ++r) {
        nlohmann::json files = nlohmann::json::array();
        for (std::size_t c = 0; c < grid.rows[r].images.size(); ++c) {
            const auto& image = grid.rows[r].images[c];
            const auto file = image.empty() ? "" : fmt::format("{}-{:02}-{}.png", name, r + 1, c + 1);
            if (!image.empty()) save_png(folder / file, image);
            files.push_back(file);
        }
        rows.push_back({{"label", grid.rows[r].label}, {"files", files}});
    }
    return {{"title", grid.title},
            {"caption", grid.caption},
            {"columns", grid.columns},
            {"heat_scale", grid.heat_scale},
            {"rows", rows}};
}

report::FigureGrid load_grid(const fs::path& folder, const nlohmann::json& json) {
    report::FigureGrid grid;
    grid.title = json["title"];
    grid.caption = json["caption"];
    grid.columns = json["columns"].get<std::vector<std::string>>();
    grid.heat_scale = json["heat_scale"];
    for (const auto& entry : json["rows"]) {
        report::FigureRow row;
        row.label = entry["label"];
        for (const std::string file : entry["files"])
            row.images.push_back(file.empty() ? cv::Mat()
                                              : cv::imread((folder / file).string(), cv::IMREAD_COLOR));
        grid.rows.push_back(std::move(row));
    }
    return grid;
}

void save_sheet(const fs::path& folder, const std::string& name, const std::vector<report::FigureGrid>& grids) {
    constexpr int cell = 128;
    cv::Mat sheet;
    for (const auto& grid : grids) {
        std::vector<std::vector<cv::Mat>> rows;
        for (const auto& row : grid.rows) rows.push_back(row.images);
        cv::Mat part = report::contact_sheet(grid.columns, rows, cell);
        const int wider = std::max(0, sheet.cols - part.cols), narrower = std::max(0, part.cols - sheet.cols);
        const auto white = cv::Scalar::all(255);
        cv::copyMakeBorder(part, part, 0, 0, 0, wider, cv::BORDER_CONSTANT, white);
        if (sheet.empty()) {
            sheet = part;
            continue;
        }
        cv::copyMakeBorder(sheet, sheet, 0, 0, 0, narrower, cv::BORDER_CONSTANT, white);
        cv::vconcat(sheet, part, sheet);
    }
    make_folder(folder);
    save_png(folder / (name + ".png"), sheet);
}

nlohmann::json to_json(const report::ScatterChart& chart) {
    nlohmann::json groups = nlohmann::json::array();
    for (const auto& group : chart.groups)
        groups.push_back({{"name", group.name}, {"x", group.x}, {"y", group.y}});
    return {{"title", chart.title}, {"caption", chart.caption}, {"groups", groups}};
}

report::ScatterChart scatter_from_json(const nlohmann::json& json) {
    report::ScatterChart chart;
    chart.title = json["title"];
    chart.caption = json["caption"];
    for (const auto& entry : json["groups"])
        chart.groups.push_back(
            {entry["name"], entry["x"].get<std::vector<double>>(), entry["y"].get<std::vector<double>>()});
    return chart;
}

cv::Mat enlarged(const cv::Mat& image, int side) {
    const int factor = std::max(1, (side + image.cols - 1) / image.cols);
    if (factor == 1) return image;
    cv::Mat out;
    cv::resize(image, out, {}, factor, factor, cv::INTER_CUBIC);
    return out;
}

cv::Mat with_outline(const cv::Mat& film, const cv::Mat& mask, int side) {
    cv::Mat grey, colour, large;
    film.convertTo(grey, CV_8U, 255);
    cv::cvtColor(grey, colour, cv::COLOR_GRAY2BGR);
    colour = enlarged(colour, side);
    if (mask.empty()) return colour;
    cv::resize(mask, large, colour.size(), 0, 0, cv::INTER_NEAREST);
    std::vector<std::vector<cv::Point>> outlines;
    cv::findContours(large, outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
    cv::drawContours(colour, outlines, -1, cv::Scalar(80, 220, 60), 1, cv::LINE_AA);
    return colour;
}

cv::Mat picture(const at::Tensor& images, std::int64_t i) {
    const auto plane = images[i].to(at::kFloat).mean(0).clamp(0, 1).contiguous();
    cv::Mat mat(static_cast<int>(plane.size(0)), static_cast<int>(plane.size(1)), CV_32F);
    std::copy_n(plane.const_data_ptr<float>(), plane.numel(), mat.ptr<float>());
    return mat;
}

}  // namespace hearth::summary
