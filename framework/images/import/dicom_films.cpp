#include "images/import/dicom_films.hpp"

#include "base/utf8.hpp"
#include "images/dicom/dicom.hpp"
#include "images/image.hpp"
#include "images/import/projection.hpp"

namespace hearth::images {

std::vector<DicomFilm> dicom_films(const ImportRequest& request, MissingFiles& missing) {
    std::vector<DicomFilm> films;
    for (const std::filesystem::path& file : images_in(request.folder)) {
        if (file.extension() != ".dcm") continue;
        try {
            const DicomInfo info = read_dicom_info(file);
            films.push_back({{.file = file,
                              .patient = base::escaped(info.patient),  // may be Latin-1
                              .view = view_of(info.view),
                              .projection = info.view,
                              .sex = sex_of(info.sex),
                              .age = info.age},
                             {info.width, info.height}});
        } catch (const ImageError&) {
            if (!request.partial) throw;
            missing.add(file.filename().string());
        }
    }
    return films;
}

}  // namespace hearth::images
