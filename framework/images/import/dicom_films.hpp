// Lists films that come as DICOM files, with what their headers say.
#pragma once

#include <opencv2/core.hpp>
#include <vector>

#include "images/import/files.hpp"
#include "images/import/import.hpp"

namespace hearth::images {

struct DicomFilm {
    Film film;
    cv::Size size;
};

/// All .dcm files below the request's folder, sorted by path: file, view, projection, sex, age and the header's
/// patient. A file whose header cannot be read is an error, or counts as missing where the request is
/// `partial`.
std::vector<DicomFilm> dicom_films(const ImportRequest& request, MissingFiles& missing);

}  // namespace hearth::images
