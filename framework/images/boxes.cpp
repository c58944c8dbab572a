#include "images/boxes.hpp"

#include <hearth/error.hpp>
#include <sstream>

namespace hearth::images {

std::optional<std::vector<cv::Rect2d>> read_boxes(const std::string& cell) {
    if (cell.empty()) return std::nullopt;
    std::vector<cv::Rect2d> boxes;
    if (cell == "none") return boxes;
    std::istringstream list(cell);
    for (std::string text; std::getline(list, text, ';');) {
        std::istringstream numbers(text);
        cv::Rect2d box;
        std::string rest;
        if (!(numbers >> box.x >> box.y >> box.width >> box.height) || numbers >> rest || box.x < 0 ||
            box.y < 0 || box.width <= 0 || box.height <= 0)
            throw DataError("boxes: found '" + text +
                            "'; expected left, top, width and height in pixels, such as 264 152 213 379");
        boxes.push_back(box);
    }
    return boxes;
}

}  // namespace hearth::images
