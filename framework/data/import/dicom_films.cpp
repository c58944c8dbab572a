#include "data/import/dicom_films.hpp"

#include "data/dicom.hpp"
#include "data/image.hpp"
#include "data/import/views.hpp"
#include "data/utf8.hpp"

namespace hearth::data {

std::vector<DicomFilm> dicom_films(const ImportRequest& request, MissingFiles& missing) {
    std::vector<DicomFilm> films;
    for (const std::filesystem::path& file : images_in(request.folder)) {
        if (file.extension() != ".dcm") continue;
        try {
            const DicomInfo info = read_dicom_info(file);
            films.push_back({{.file = file,
                              .patient = escaped(info.patient),  // may be Latin-1
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

}  // namespace hearth::data
