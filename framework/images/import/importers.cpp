#include <algorithm>
#include <array>
#include <hearth/error.hpp>
#include <hearth/text.hpp>

#include "images/import/import.hpp"

namespace hearth::images {

std::span<const Importer> importers() {
    static constexpr std::array<Importer, 7> table = {{
        {"mimic-cxr-jpg", "MIMIC-CXR-JPG 2.x",
         "PhysioNet: credentialed account, training course, data use agreement", true, true,
         import_mimic_cxr_jpg},
        {"nih-cxr14", "NIH ChestX-ray14", "free to use with attribution, no registration", false, true,
         import_nih_cxr14},
        {"chexpert", "CheXpert 1.0", "Stanford AIMI: registration, research use agreement", true, true,
         import_chexpert},
        {"childcxr", "paediatric chest radiographs of Kermany et al.",
         "CC BY 4.0, Mendeley Data, no registration", false, true, import_childcxr},
        {"siim-acr", "SIIM-ACR Pneumothorax 2019", "Kaggle: account, competition rules", false, false,
         import_siim_acr},
        {"rsna", "RSNA Pneumonia 2018", "RSNA: use with attribution; Kaggle: account, competition rules", false,
         false, import_rsna},
        {"folder", "any folder of images", "yours", false, true, import_folder},
    }};
    return table;
}

const Importer& find_importer(const std::string& kind) {
    std::vector<std::string> kinds;
    for (const Importer& importer : importers()) {
        if (importer.kind == kind) return importer;
        kinds.emplace_back(importer.kind);
    }
    throw RecipeError("found no importer '" + kind + "'" + did_you_mean(kind, kinds) + "; expected one of " +
                      join(kinds));
}

}  // namespace hearth::images
