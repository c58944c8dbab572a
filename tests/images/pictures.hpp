// Images as tests of their files need them.
#pragma once

#include <cstdint>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

namespace hearth::test {

/// The bytes of a file of this kind (".png").
inline std::string encoded(const std::string& extension, const cv::Mat& image) {
    std::vector<std::uint8_t> bytes;
    cv::imencode(extension, image, bytes);
    return {bytes.begin(), bytes.end()};
}

/// The largest difference of a value; 1e9 between images of other sizes.
inline double difference(const cv::Mat& a, const cv::Mat& b) {
    return a.size() == b.size() ? cv::norm(a, b, cv::NORM_INF) : 1e9;
}

}  // namespace hearth::test
