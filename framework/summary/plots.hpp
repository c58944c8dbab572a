// Writes pictures as files of a run's folder plots/, and reads them back into a report.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "report/page.hpp"

namespace hearth::summary {

/// Pixels of a picture in a report.
inline constexpr int picture_side = 224;

/// Writes the chart for use outside a page, `folder`/NAME.svg. Makes the folder. Throws DataError.
void save_svg(const std::filesystem::path& folder, const std::string& name, const std::string& svg);

/// Writes each image as NAME-ROW-COLUMN.png; the JSON holds captions and file names.
nlohmann::json save_grid(const std::filesystem::path& folder, const std::string& name,
                         const report::FigureGrid& grid);
/// An image whose file is gone leaves its place empty.
report::FigureGrid load_grid(const std::filesystem::path& folder, const nlohmann::json& json);

/// Rows of pictures, one sheet below the other, as FOLDER/NAME.png: for slides and READMEs.
void save_sheet(const std::filesystem::path& folder, const std::string& name,
                const std::vector<report::FigureGrid>& grids);

nlohmann::json to_json(const report::ScatterChart& chart);
report::ScatterChart scatter_from_json(const nlohmann::json& json);

/// `side` x `side` pixels or a whole multiple below twice that: small films are hard to see.
cv::Mat enlarged(const cv::Mat& image, int side);

/// A film, CV_32F in [0, 1], enlarged, with the outline of its mask (CV_8U, or empty) in green.
cv::Mat with_outline(const cv::Mat& film, const cv::Mat& mask, int side);

/// Image i of [B, C, H, W] in [0, 1]: float grey [H, W], the mean of the channels.
cv::Mat picture(const at::Tensor& images, std::int64_t i);

}  // namespace hearth::summary
