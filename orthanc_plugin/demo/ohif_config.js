// OHIF's settings: one source, Orthanc's DICOMweb, from where the viewer itself came.
window.config = {
    routerBasename: null,
    extensions: [],
    modes: [],
    customizationService: {},
    showStudyList: true,
    showErrorDetails: "always",
    investigationalUseDialog: { option: "never" },
    defaultDataSourceName: "dicomweb",
    dataSources: [
        {
            namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
            sourceName: "dicomweb",
            configuration: {
                friendlyName: "Orthanc",
                name: "orthanc",
                qidoRoot: "/dicom-web",
                wadoRoot: "/dicom-web",
                wadoUriRoot: "/dicom-web",
                qidoSupportsIncludeField: false,
                imageRendering: "wadors",
                thumbnailRendering: "wadors",
                enableStudyLazyLoad: true,
                supportsFuzzyMatching: false,
                supportsWildcard: true,
                bulkDataURI: { enabled: true, relativeResolution: "studies" },
                omitQuotationForMultipartRequest: true,
            },
        },
    ],
};
