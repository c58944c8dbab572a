#include "report/contact_sheet.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace hearth::report {
namespace {

constexpr int gap = 4, block_gap = 20, caption_height = 22;
const cv::Scalar paper(255, 255, 255), ink(50, 45, 40);

cv::Mat as_bgr(const cv::Mat& picture) {
    cv::Mat bytes, out;
    picture.convertTo(bytes, CV_8U, picture.depth() == CV_8U ? 1 : 255);
    if (bytes.channels() == 3) return bytes;
    cv::cvtColor(bytes, out, cv::COLOR_GRAY2BGR);
    return out;
}

/// The picture in the middle of its cell, enlarged or reduced to fit.
void place(const cv::Mat& cell, const cv::Mat& picture) {
    if (picture.empty()) return;
    const double scale =
        std::min(static_cast<double>(cell.cols) / picture.cols, static_cast<double>(cell.rows) / picture.rows);
    const cv::Size size(std::max(1, static_cast<int>(picture.cols * scale)),
                        std::max(1, static_cast<int>(picture.rows * scale)));
    cv::Mat fitted;
    cv::resize(as_bgr(picture), fitted, size, 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
    fitted.copyTo(cell(cv::Rect({(cell.cols - size.width) / 2, (cell.rows - size.height) / 2}, size)));
}

/// As large as fits the cell, at most 0.5 of OpenCV's unit.
void write(cv::Mat sheet, const std::string& text, cv::Point at, int width) {
    constexpr auto font = cv::FONT_HERSHEY_SIMPLEX;
    int baseline = 0;
    const auto full = cv::getTextSize(text, font, 0.5, 1, &baseline);
    const double scale = full.width > width ? 0.5 * width / full.width : 0.5;
    cv::putText(sheet, text, at, font, scale, ink, 1, cv::LINE_AA);
}

}  // namespace

cv::Mat contact_sheet(const std::vector<std::string>& captions, const std::vector<std::vector<cv::Mat>>& rows,
                      int cell) {
    const int columns = static_cast<int>(captions.size()), count = static_cast<int>(rows.size());
    const int step = cell + gap;
    const int blocks = std::clamp(
        static_cast<int>(std::lround(std::sqrt(static_cast<double>(count) / columns))), 1, std::max(1, count));
    const int per_block = (count + blocks - 1) / blocks;
    const int block_width = columns * step + block_gap;
    cv::Mat sheet(caption_height + per_block * step + gap, blocks * block_width, CV_8UC3, paper);
    for (int block = 0; block < blocks; ++block)
        for (int column = 0; column < columns; ++column)
            write(sheet, captions[static_cast<std::size_t>(column)],
                  {gap + block * block_width + column * step, caption_height - 7}, cell);
    for (int i = 0; i < count; ++i) {
        const auto& row = rows[static_cast<std::size_t>(i)];
        for (std::size_t column = 0; column < row.size(); ++column)
            place(sheet(cv::Rect(gap + i / per_block * block_width + static_cast<int>(column) * step,
                                 caption_height + i % per_block * step, cell, cell)),
                  row[column]);
    }
    return sheet;
}

}  // namespace hearth::report
